// Bytes that are read piece by piece: of a file, or in memory (the tests' and the fuzzers' door).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace longhaul::core {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual int64_t size() const = 0;
  /// Bytes [begin, begin + out.size()), which lie inside.
  virtual void read(int64_t begin, std::span<std::byte> out) const = 0;

  /// The same, of `count` bytes.
  std::string text(int64_t begin, int64_t count) const {
    std::string bytes(static_cast<size_t>(count), '\0');
    read(begin, std::as_writable_bytes(std::span(bytes)));
    return bytes;
  }

 protected:
  ByteSource() = default;
  ByteSource(const ByteSource&) = default;
  ByteSource& operator=(const ByteSource&) = default;
};

/// Bytes that somebody else keeps.
class MemoryBytes : public ByteSource {
 public:
  explicit MemoryBytes(std::string_view bytes) : bytes_(bytes) {}
  int64_t size() const override { return std::ssize(bytes_); }
  void read(int64_t begin, std::span<std::byte> out) const override {
    const std::string_view some = bytes_.substr(static_cast<size_t>(begin), out.size());
    if (!out.empty()) std::memcpy(out.data(), some.data(), some.size());
  }

 private:
  std::string_view bytes_;
};

}  // namespace longhaul::core
