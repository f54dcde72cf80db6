#include "trainer/tensor_file.h"

#include <iterator>

namespace longhaul::trainer {

model::StoredType stored_type(core::DType dtype) {
  return dtype == core::DType::kF64 ? model::StoredType::kF64 : model::StoredType::kF32;
}

core::TensorView HostMemory::view_like(const core::TensorView& view) {
  if (size_ < view.bytes()) {
    bytes_.reset();  // not both at once
    bytes_ = std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(view.bytes()));
    size_ = view.bytes();
  }
  return {bytes_.get(), view.dtype(), view.shape()};
}

void TensorFile::add(const std::string& name, const core::TensorView& view,
                     core::DeviceReader& reader) {
  if (memory_.size() == tensors_.size()) memory_.emplace_back();
  HostMemory& memory = *std::next(memory_.begin(), static_cast<std::ptrdiff_t>(tensors_.size()));
  const core::TensorView host = memory.view_like(view);
  reader.read(view, host);
  tensors_.push_back({name, host, stored_type(view.dtype())});
}

}  // namespace longhaul::trainer
