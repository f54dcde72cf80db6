#pragma once

#include <unistd.h>

#include <utility>

namespace longhaul::core {

/// Owns an open file descriptor; −1 owns nothing.
class FileDescriptor {
 public:
  explicit FileDescriptor(int descriptor = -1) : descriptor_(descriptor) {}
  ~FileDescriptor() { close(); }
  FileDescriptor(FileDescriptor&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }
  /// What ::close returns; 0 if there is nothing to close.
  int close() { return descriptor_ < 0 ? 0 : ::close(release()); }
  explicit operator bool() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

}  // namespace longhaul::core
