#include "trainer/tensor_file.h"

#include <algorithm>
#include <iterator>

namespace longhaul::trainer {

namespace {
constexpr int64_t kPieceBytes = int64_t{4} << 20;
}  // namespace

model::StoredType stored_type(core::DType dtype) {
  return dtype == core::DType::kF64 ? model::StoredType::kF64 : model::StoredType::kF32;
}

void read_stored(core::Context& context, const model::SafetensorsFile& file,
                 const model::StoredTensor& tensor, int64_t first, const core::TensorView& target) {
  const int64_t size = core::size_of(target.dtype());
  const auto read = [&](int64_t begin, const core::TensorView& host) {
    file.read_bytes(tensor, static_cast<uint64_t>((first + begin) * size),
                    static_cast<uint64_t>(host.bytes()), host.raw());
  };
  if (target.elements() == 0) return;
  if (target.device().is_cpu() && target.is_contiguous()) return read(0, target);
  const core::TensorView rows = target.rank() > 0 ? target : target.reshape({1});
  const int64_t row = rows.elements() / rows.extent(0);
  const int64_t some = std::max<int64_t>(1, kPieceBytes / (row * size));
  HostMemory memory;
  for (int64_t begin = 0; begin < rows.extent(0); begin += some) {
    const core::TensorView part = rows.slice(0, begin, std::min(begin + some, rows.extent(0)));
    const core::TensorView host = memory.view_like(part);
    read(begin * row, host);
    core::copy(context, host, part);
    core::synchronize(context);  // before the memory is filled again
  }
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
