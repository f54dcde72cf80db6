// Shared memory that knows who wrote what and when. Every access of device code goes through a
// Shared<T>, which on a GPU is a plain pointer. A read of what nobody wrote in this block, an
// access beyond the array, and two accesses (one of them a write) by different threads without a
// barrier between them are faults, and so is touching what an asynchronous copy is on its way to:
// it arrives when its thread waits for its group. Fresh shared memory is filled with NaN besides.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tests/support/simt/block.h"

namespace longhaul::simt {

/// State of two bytes of shared memory.
struct Shadow {
  int16_t writer = -1;                       ///< thread; −1: nobody; −2: a copy on its way
  int16_t reader = -1;                       ///< thread; −1: nobody since the last write
  int16_t reader_warp = -1;                  ///< −2: several
  uint32_t write_block = 0, write_warp = 0;  ///< epochs of the writer
  uint32_t read_block = 0, read_warp = 0;    ///< epochs of the latest reader
};

void shared_read(const unsigned char* at, int64_t bytes);
void shared_write(const unsigned char* at, int64_t bytes);

/// 16 bytes; groups of copies and waiting for all but the latest `pending`, as cp.async has them.
void begin_copy(unsigned char* to, const void* from);
void commit_copies();
void wait_for_copies(uint32_t pending);
/// Memory for an array of the current block; faults if the launch asked for less.
unsigned char* shared_memory(int64_t offset, int64_t bytes);

template <class T>
class Shared {
 public:
  /// One element.
  class Reference {
   public:
    explicit Reference(unsigned char* at) : at_(at) {}
    operator T() const {  // NOLINT(google-explicit-constructor)
      shared_read(at_, sizeof(T));
      T value;
      std::memcpy(&value, at_, sizeof(T));
      return value;
    }
    T operator=(T value) const {  // NOLINT(misc-unconventional-assign-operator)
      shared_write(at_, sizeof(T));
      std::memcpy(at_, &value, sizeof(T));
      return value;
    }
    T operator=(const Reference& other) const { return *this = static_cast<T>(other); }
    T operator+=(T value) const { return *this = static_cast<T>(*this) + value; }
    T operator*=(T value) const { return *this = static_cast<T>(*this) * value; }

   private:
    unsigned char* at_;
  };

  Shared() = default;
  explicit Shared(unsigned char* data) : data_(data) {}
  Reference operator[](int64_t i) const {
    return Reference(data_ + i * static_cast<int64_t>(sizeof(T)));
  }
  Shared operator+(int64_t elements) const {
    return Shared(data_ + elements * static_cast<int64_t>(sizeof(T)));
  }
  unsigned char* raw() const { return data_; }

 private:
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 2 == 0);
  unsigned char* data_ = nullptr;
};

}  // namespace longhaul::simt
