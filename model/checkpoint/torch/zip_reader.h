// Zip archives with uncompressed entries, as torch writes them. Zip64 is understood; compression,
// encryption and archives in several parts are not.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/byte_source.h"

namespace longhaul::model {

struct ZipEntry {
  std::string name;
  uint64_t begin = 0, end = 0;  ///< bytes of the file
};

/// The entries in order of the archive's directory. `file` is the whole file, `name` stands for it
/// in messages. Every entry lies within the file, before the directory, and overlaps no other.
/// Checksums are not compared: torch can be told to leave them out. Throws InputError.
std::vector<ZipEntry> read_zip_directory(const core::ByteSource& file, const std::string& name);
inline std::vector<ZipEntry> read_zip_directory(std::string_view file, const std::string& name) {
  return read_zip_directory(core::MemoryBytes(file), name);
}

}  // namespace longhaul::model
