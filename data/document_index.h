// documents.bin: where documents begin.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <vector>

#include "kernels/core/random_access_file.h"

namespace longhaul::data {

/// Little-endian u64, read in place: there may be more documents than memory has room for, and each
/// rank of a machine opens them. Neighbours come together. Any thread may call it.
class DocumentIndex {
 public:
  explicit DocumentIndex(const std::filesystem::path& file) : file_(file) {}

  const core::RandomAccessFile& file() const { return file_; }
  /// Errors as core::RandomAccessFile's.
  uint64_t operator[](int64_t index) const;

 private:
  core::RandomAccessFile file_;
  mutable std::mutex mutex_;
  mutable int64_t first_ = 0;            // of the block that was read last
  mutable std::vector<uint64_t> block_;  // empty: none
};

}  // namespace longhaul::data
