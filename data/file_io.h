// Files as this folder needs them: owned descriptors, checked buffered writing, read-only mapping.
// Failures name the path.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

namespace longhaul::data {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  int get() const { return value_; }
  bool is_open() const { return value_ >= 0; }
  int close();  ///< what ::close returns; 0 if there is nothing to close

 private:
  int value_ = -1;
};

/// The whole of a regular file, mapped read-only. Throws InputError.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  const std::byte* data() const { return data_; }
  int64_t size() const { return size_; }
  uint32_t crc32() const;

 private:
  const std::byte* data_ = nullptr;
  int64_t size_ = 0;
};

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
  Descriptor file_;
  std::vector<std::byte> buffer_;
  uint32_t crc_ = 0;
};

/// Makes a folder's entries (creations, renames) durable. Throws core::Error.
void sync_folder(const std::filesystem::path& folder);

}  // namespace longhaul::data
