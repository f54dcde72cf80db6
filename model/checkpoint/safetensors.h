// The safetensors container: u64 header length, JSON header, data. Reader and writer, for any
// program that speaks it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/core/dtype.h"
#include "kernels/core/tensor.h"
#include "model/checkpoint/atomic_file.h"

namespace longhaul::model {

/// Element types of the container that we read ("F16" is widened to F32 by read_as).
enum class StoredType : uint8_t { kF64, kF32, kF16, kBF16, kI64, kI32 };

struct StoredTensor {
  std::string name;
  StoredType type = StoredType::kF32;
  core::Shape shape;
  uint64_t begin = 0, end = 0;  ///< bytes in the data section
};

/// Opens a file and checks its header completely: length, JSON, types, shapes, offsets in
/// order without holes or overlaps, duplicate names, size of the file. Throws InputError naming
/// file and tensor.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&&) noexcept;

  const std::filesystem::path& path() const;
  const std::vector<StoredTensor>& tensors() const;  ///< in order of their data
  const std::map<std::string, std::string>& metadata() const;
  const StoredTensor* find(const std::string& name) const;
  /// Copies some of a tensor's bytes. core::Error naming the file where it cannot be read any more,
  /// as below.
  void read_bytes(const StoredTensor& tensor, uint64_t begin, uint64_t count, void* target) const;
  /// Copies into a contiguous view, on any device, of the same number of elements, converting
  /// between floating types (float targets) or from I64/I32 (I32 targets; InputError where a value
  /// does not fit).
  void read_as(const StoredTensor& tensor, const core::TensorView& target) const;

 private:
  struct Opened;
  std::unique_ptr<Opened> opened_;
};

/// What to write: `view` is contiguous, on any device; `type` the stored type (floats are rounded
/// to nearest even).
struct TensorToStore {
  std::string name;
  core::TensorView view;
  StoredType type = StoredType::kF32;
};
/// Writes beside `path`, fsyncs, renames. Data starts 8-aligned. Metadata gets {"format": "pt"}
/// unless given.
void write_safetensors(const std::filesystem::path& path, const std::vector<TensorToStore>& tensors,
                       std::map<std::string, std::string> metadata = {},
                       WrittenTo where = WrittenTo::kFolderOfUsers);

}  // namespace longhaul::model
