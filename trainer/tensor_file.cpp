#include "trainer/tensor_file.h"

namespace longhaul::trainer {

model::StoredType stored_type(core::DType dtype) {
  return dtype == core::DType::kF64 ? model::StoredType::kF64 : model::StoredType::kF32;
}

void TensorFile::add(const std::string& name, const core::TensorView& view) {
  core::TensorView host = view;
  if (!view.device().is_cpu()) {
    auto& memory = memory_.emplace_back(static_cast<size_t>(view.bytes()));
    host = core::TensorView(memory.data(), view.dtype(), view.shape());
    core::copy(context_, view, host);
  }
  tensors_.push_back({name, host, stored_type(view.dtype())});
}

}  // namespace longhaul::trainer
