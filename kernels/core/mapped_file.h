#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace longhaul::core {

/// A regular file, mapped read-only; symbolic links are followed. Throws InputError naming the path
/// if there is none, it is a folder or a device, or it cannot be read. Pages come in as they are
/// touched.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  uint64_t size() const { return size_; }
  const char* data() const { return static_cast<const char*>(data_); }
  std::string_view text() const { return {data(), static_cast<size_t>(size_)}; }
  std::span<const std::byte> bytes() const {
    return {static_cast<const std::byte*>(data_), static_cast<size_t>(size_)};
  }

  /// What has been read of these bytes no longer counts as this process's memory; it can be read
  /// again.
  void release(uint64_t begin, uint64_t end) const;

 private:
  void* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace longhaul::core
