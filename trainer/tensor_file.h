// Tensors of a run to and from safetensors files, bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "kernels/core/device_reader.h"
#include "kernels/core/tensor.h"
#include "model/checkpoint/safetensors.h"

namespace longhaul::trainer {

model::StoredType stored_type(core::DType dtype);

/// Fills `target`, on any device, with elements of `tensor` from `first` on, as they are stored:
/// they are of its dtype and lie inside. Returns when it is done.
void read_stored(core::Context& context, const model::SafetensorsFile& file,
                 const model::StoredTensor& tensor, int64_t first, const core::TensorView& target);

/// Bytes on the host that stay where they are while they suffice: new pages cost more than copying.
class HostMemory {
 public:
  /// A view of the same dtype and shape in this memory; ends what was viewed before.
  core::TensorView view_like(const core::TensorView& view);
  const std::byte* data() const { return bytes_.get(); }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  int64_t size_ = 0;
};

/// Copies tensors and writes the copies.
class TensorFile {
 public:
  /// `reader`: of the tensor's context.
  void add(const std::string& name, const core::TensorView& view, core::DeviceReader& reader);
  /// Forgets the tensors and keeps the memory for those that are added next.
  void clear() { tensors_.clear(); }
  /// Into a checkpoint's folder, which is new.
  void write(const std::filesystem::path& path) const {
    model::write_safetensors(path, tensors_, {}, model::WrittenTo::kNewFolder);
  }

 private:
  std::list<HostMemory> memory_;  // of each tensor
  std::vector<model::TensorToStore> tensors_;
};

}  // namespace longhaul::trainer
