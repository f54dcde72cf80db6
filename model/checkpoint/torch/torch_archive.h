// What torch.save makes of a state_dict: a zip archive with a pickle and one entry a storage. No
// file needed (the fuzzer's door).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/byte_source.h"
#include "model/checkpoint/safetensors.h"

namespace longhaul::model {

struct TorchTensor {
  std::string name;
  StoredType type = StoredType::kF32;
  core::Shape shape, strides;   ///< strides count elements
  std::string storage;          ///< key
  uint64_t storage_begin = 0;   ///< byte of the file
  uint64_t first = 0, end = 0;  ///< elements of the storage between which the tensor lies

  bool is_contiguous() const;
  /// What the elements between which the tensor lies take of the file.
  uint64_t first_byte() const;
  uint64_t bytes() const;
  /// Copies elements [begin, begin + count) in row-major order out of these.
  void pick(std::string_view elements, int64_t begin, int64_t count, void* target) const;
};

/// Every element of every tensor lies within its storage. `file` is the whole file, of which no
/// storage is read; `name` stands for it in messages. Throws InputError naming what is wrong, all
/// tensors' problems together.
std::vector<TorchTensor> parse_torch_archive(const core::ByteSource& file, const std::string& name);
inline std::vector<TorchTensor> parse_torch_archive(std::string_view file,
                                                    const std::string& name) {
  return parse_torch_archive(core::MemoryBytes(file), name);
}

}  // namespace longhaul::model
