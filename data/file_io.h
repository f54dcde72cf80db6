// Checked, buffered writing, and CRC-32. Failures name the path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/core/file_descriptor.h"
#include "kernels/core/random_access_file.h"

namespace longhaul::data {

/// Of all its bytes.
uint32_t crc32(const core::RandomAccessFile& file);
uint32_t crc32(std::string_view text);

/// Creates (or overwrites) a file and writes it through a buffer; throws core::Error (disk full,
/// …).
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path& path);
  void write(std::span<const std::byte> bytes);
  void finish();                           ///< writes what is buffered, fsyncs, closes
  uint32_t crc32() const { return crc_; }  ///< of what left the buffer; of all after finish()
  int descriptor() const { return file_.get(); }

 private:
  void flush();

  std::filesystem::path path_;
  core::FileDescriptor file_;
  std::vector<std::byte> buffer_;
  uint32_t crc_ = 0;
};

/// Makes a folder's entries (creations, renames) durable. Throws core::Error.
void sync_folder(const std::filesystem::path& folder);

}  // namespace longhaul::data
