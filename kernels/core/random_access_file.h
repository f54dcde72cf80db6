#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "kernels/core/file_descriptor.h"

namespace longhaul::core {

/// A regular file that is read in place, piece by piece, over a long time. A mapping would end the
/// process with SIGBUS where the file was cut off or its storage fails.
class RandomAccessFile {
 public:
  /// InputError naming the path if there is no such file, or it cannot be read.
  explicit RandomAccessFile(const std::filesystem::path& path);

  int64_t size() const { return size_; }  ///< when it was opened
  /// Bytes [begin, begin + out.size()), which lie inside. What storage fails at is tried again for
  /// a few seconds, with the file opened anew. core::Error naming the path and the reason, also
  /// where the file has become shorter. Any thread may call it.
  void read(int64_t begin, std::span<std::byte> out) const;

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
  int64_t size_ = 0;
};

}  // namespace longhaul::core
