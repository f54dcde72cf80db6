// Bytes of a text file as they are read: plain, gzip or zstd by the name's ending, in any case.
// Concatenated members and frames are one stream.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace longhaul::data {

class TextStream {
 public:
  virtual ~TextStream() = default;
  /// Fills `out` as far as there are bytes; fewer only at the end. InputError if the file is
  /// damaged or truncated, core::Error if it cannot be read.
  virtual size_t read(std::span<char> out) = 0;
  /// Bytes of the file, as stored, that have been read so far.
  virtual int64_t stored_bytes() const = 0;
};

/// Throws InputError if the file cannot be opened.
std::unique_ptr<TextStream> open_text(const std::filesystem::path& file);

/// Without .gz or .zst, in any case.
std::string uncompressed_name(const std::filesystem::path& file);

}  // namespace longhaul::data
