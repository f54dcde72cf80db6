// The meaning of kernels/core/device_code.cuh's primitives on the host. Layouts of fragments as in
// the PTX manual ("Matrix fragments for mma.m16n8k16", "ldmatrix").
#pragma once

#include <cuda_runtime.h>

#include "kernels/core/dtype.h"
#include "tests/support/simt/matrix_operations.h"
#include "tests/support/simt/shared_memory.h"

namespace longhaul::core::device {

template <class T>
using Shared = simt::Shared<T>;

class SharedMemory {
 public:
  template <class T>
  Shared<T> take(int64_t count) {
    const int64_t bytes = (count * static_cast<int64_t>(sizeof(T)) + 15) / 16 * 16;
    const Shared<T> array(simt::shared_memory(used_, bytes));
    used_ += bytes;
    return array;
  }

 private:
  int64_t used_ = 0;
};

inline float to_float(float x) { return x; }
inline float to_float(BFloat16 x) { return static_cast<float>(x); }
template <class T>
T from_float(float x) {
  return T(x);
}
inline uint32_t pack_bf16(float low, float high) {
  return from_float<BFloat16>(low).bits | static_cast<uint32_t>(from_float<BFloat16>(high).bits)
                                              << 16;
}
/// Rounds to the 10 bits of mantissa that the matrix units read, ties away from zero.
inline float round_to_tf32(float x) {
  return __uint_as_float((__float_as_uint(x) + 0x1000u) & 0xffffe000u);
}

inline float fast_exp2(float x) { return std::exp2(x); }
inline float fast_reciprocal(float x) { return 1.0f / x; }

struct alignas(16) Words {
  uint32_t word[4];
};
struct alignas(8) HalfWords {
  uint32_t word[2];
};
inline void check_alignment(const void* at, uintptr_t bytes = 16) {
  if (reinterpret_cast<uintptr_t>(at) % bytes != 0) {
    simt::current_thread()->block->report("access of several elements that is not aligned to them");
  }
}
template <class T>
Words load_words(const T* from) {
  check_alignment(from);
  Words words;
  std::memcpy(&words, from, 16);
  return words;
}
template <class T>
void store_words(T* to, const Words& words) {
  check_alignment(to);
  std::memcpy(static_cast<void*>(to), &words, 16);
}
template <class T>
Words read_words(Shared<T> from) {
  check_alignment(from.raw());
  simt::shared_read(from.raw(), 16);
  Words words;
  std::memcpy(&words, from.raw(), 16);
  return words;
}
template <class T>
void write_words(Shared<T> to, const Words& words) {
  check_alignment(to.raw());
  simt::shared_write(to.raw(), 16);
  std::memcpy(to.raw(), &words, 16);
}

inline uint32_t load_pair(const BFloat16* from) {
  check_alignment(from, 4);
  return from[0].bits | static_cast<uint32_t>(from[1].bits) << 16;
}
template <class T>
HalfWords load_half_words(const T* from) {
  check_alignment(from, 8);
  HalfWords words;
  std::memcpy(&words, from, 8);
  return words;
}
template <class T>
void store_words(T* to, const HalfWords& words) {
  check_alignment(to, 8);
  std::memcpy(static_cast<void*>(to), &words, 8);
}
template <class T>
void write_words(Shared<T> to, const HalfWords& words) {
  check_alignment(to.raw(), 8);
  simt::shared_write(to.raw(), 8);
  std::memcpy(to.raw(), &words, 8);
}

inline void store_pair(float* to, float low, float high) {
  check_alignment(to, 8);
  to[0] = low;
  to[1] = high;
}
inline void store_pair(BFloat16* to, float low, float high) {
  check_alignment(to, 4);
  to[0] = from_float<BFloat16>(low);
  to[1] = from_float<BFloat16>(high);
}
template <class T>
float2 read_pair(Shared<T> from) {
  check_alignment(from.raw(), 2 * sizeof(T));
  return {to_float(from[0]), to_float(from[1])};
}

inline void load_matrices(Shared<BFloat16> row, uint32_t (&words)[4]) {
  simt::load_matrices(row.raw(), false, words);
}
inline void load_matrices_transposed(Shared<BFloat16> row, uint32_t (&words)[4]) {
  simt::load_matrices(row.raw(), true, words);
}
inline void multiply_add_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  simt::multiply_add_bf16(c, a, b);
}
inline void multiply_add_tf32(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  simt::multiply_add_tf32(c, a, b);
}

template <class T>
void copy_async(Shared<T> to, const T* from) {
  check_alignment(to.raw());
  check_alignment(from);
  simt::begin_copy(to.raw(), from);
}
inline void copy_async_commit() { simt::commit_copies(); }
template <int kPending>
void copy_async_wait() {
  simt::wait_for_copies(kPending);
}

}  // namespace longhaul::core::device
