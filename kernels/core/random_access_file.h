#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "kernels/core/byte_source.h"
#include "kernels/core/file_descriptor.h"

namespace longhaul::core {

/// A regular file that is read in place, piece by piece, over a long time. A mapping would end the
/// process with SIGBUS where the file was cut off or its storage fails.
class RandomAccessFile : public ByteSource {
 public:
  /// InputError naming the path if there is no such file, or it cannot be read.
  explicit RandomAccessFile(const std::filesystem::path& path);

  int64_t size() const override { return size_; }  ///< when it was opened
  /// Bytes [begin, begin + out.size()), which lie inside. What storage fails at is tried again for
  /// a few seconds, with the file opened anew. core::Error naming the path and the reason, also
  /// where the file has become shorter. Any thread may call it.
  void read(int64_t begin, std::span<std::byte> out) const override;
  /// Reads the file from front to back and hands its bytes on, piece by piece.
  void for_each_piece(const std::function<void(std::string_view piece)>& take) const;

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
  int64_t size_ = 0;
};

/// The bytes of a file; for what is small, or taken apart as a whole. Errors as RandomAccessFile's;
/// InputError too where it has more than `most` bytes.
std::string read_file(const std::filesystem::path& path, int64_t most = int64_t{1} << 30);

}  // namespace longhaul::core
