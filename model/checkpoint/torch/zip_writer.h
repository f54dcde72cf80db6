#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/checkpoint/atomic_file.h"

namespace longhaul::model {

/// Writes a zip archive of stored entries as torch reads it: data aligned to 64 bytes, zip64 where
/// sizes or offsets need it. The sizes of entries are known before their data.
class ZipWriter {
 public:
  /// Sizes and offsets from `wide_from` on are written as 64 bits.
  explicit ZipWriter(AtomicFile& file, uint64_t wide_from = 0xffffffff)
      : file_(file), wide_from_(wide_from) {}

  void add(const std::string& name, const std::string& bytes);
  /// begin() announces the size; write() calls must add up to it; end() completes the header.
  void begin(const std::string& name, uint64_t size);
  void write(const void* bytes, uint64_t count);
  void end();
  /// Writes the directory; the file is the caller's to commit.
  void finish();

 private:
  struct Entry {
    std::string name;
    uint64_t size = 0, header = 0;  // header: where it begins
    uint32_t checksum = 0;
  };
  std::string local_header(const Entry& entry) const;
  std::string central_header(const Entry& entry) const;
  void write_end(uint64_t directory, uint64_t directory_bytes);
  bool is_wide(uint64_t number) const { return number >= wide_from_; }
  void append(const std::string& bytes) { file_.write(bytes.data(), bytes.size()); }

  AtomicFile& file_;
  uint64_t wide_from_;
  std::vector<Entry> entries_;
  uint64_t data_ = 0;  // where the open entry's data begins
};

}  // namespace longhaul::model
