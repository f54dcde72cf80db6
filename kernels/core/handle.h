#pragma once

#include <utility>

namespace longhaul::core {

/// Owns a C handle; `destroy` must not throw. Moved-from and default-constructed own nothing.
template <class Handle, auto destroy>
class UniqueHandle {
 public:
  UniqueHandle() = default;
  explicit UniqueHandle(Handle handle) : handle_(handle) {}
  ~UniqueHandle() { reset(); }
  UniqueHandle(UniqueHandle&& other) noexcept : handle_(std::exchange(other.handle_, Handle{})) {}
  UniqueHandle& operator=(UniqueHandle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }

  Handle get() const { return handle_; }
  explicit operator bool() const { return handle_ != Handle{}; }
  void reset() {
    if (handle_ != Handle{}) destroy(std::exchange(handle_, Handle{}));
  }

 private:
  Handle handle_{};
};

}  // namespace longhaul::core
