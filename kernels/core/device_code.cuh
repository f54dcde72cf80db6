// What kernels are written with: shared memory, conversions, tensor cores, asynchronous copies. The
// only place that speaks PTX. When the same sources are compiled for the host, the tests give each
// of these its meaning (tests/support/simt).
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/core/dtype.h"

#ifndef __CUDACC__
#include <device_primitives.h>
#else

namespace longhaul::core::device {

/// An array in shared memory. Kernels use [], + and the functions below, nothing else of a pointer.
template <class T>
using Shared = T*;

extern __shared__ uint4 dynamic_shared_memory[];

/// Hands out the dynamic shared memory of the launch, array by array, each aligned to 16 bytes.
class SharedMemory {
 public:
  template <class T>
  __device__ Shared<T> take(int64_t count) {
    auto* array = reinterpret_cast<T*>(reinterpret_cast<char*>(dynamic_shared_memory) + used_);
    used_ += (count * static_cast<int64_t>(sizeof(T)) + 15) / 16 * 16;
    return array;
  }

 private:
  int64_t used_ = 0;
};

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(BFloat16 x) {
  return __uint_as_float(static_cast<uint32_t>(x.bits) << 16);
}
template <class T>
__device__ T from_float(float x);
template <>
__device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__device__ inline BFloat16 from_float<BFloat16>(float x) {
  BFloat16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(x));
  return result;
}
/// Two of them in one word, `low` first in memory.
__device__ inline uint32_t pack_bf16(float low, float high) {
  uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
}
/// Rounds to the 10 bits of mantissa that the matrix units read, ties away from zero.
__device__ inline float round_to_tf32(float x) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return __uint_as_float(bits);
}

/// 2^x and 1/x as the special function units give them, off by two last bits at most; denormal
/// numbers are zeros.
__device__ inline float fast_exp2(float x) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
}
__device__ inline float fast_reciprocal(float x) {
  float reciprocal;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(reciprocal) : "f"(x));
  return reciprocal;
}

/// 16 bytes.
struct alignas(16) Words {
  uint32_t word[4];
};
struct alignas(8) HalfWords {
  uint32_t word[2];
};
/// From and to global memory, aligned to their size.
template <class T>
__device__ Words load_words(const T* from) {
  return *reinterpret_cast<const Words*>(from);
}
template <class T>
__device__ void store_words(T* to, const Words& words) {
  // An assignment may become a store for each word.
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(to)),
               "r"(words.word[0]), "r"(words.word[1]), "r"(words.word[2]), "r"(words.word[3])
               : "memory");
}
/// Two adjacent elements as they lie in memory, aligned to both.
__device__ inline uint32_t load_pair(const BFloat16* from) {
  return *reinterpret_cast<const uint32_t*>(from);
}
template <class T>
__device__ HalfWords load_half_words(const T* from) {
  return *reinterpret_cast<const HalfWords*>(from);
}
template <class T>
__device__ void store_words(T* to, const HalfWords& words) {
  // Of two words an assignment makes two stores, and PTX may not be moved: 150 instructions more in
  // the scan, and registers in memory.
  const uint64_t both = static_cast<uint64_t>(words.word[1]) << 32 | words.word[0];
  *reinterpret_cast<uint64_t*>(to) = both;
}
/// From and to shared memory.
template <class T>
__device__ Words read_words(Shared<T> from) {
  return *reinterpret_cast<const Words*>(from);
}
template <class T>
__device__ void write_words(Shared<T> to, const Words& words) {
  *reinterpret_cast<Words*>(to) = words;
}

template <class T>
__device__ void write_words(Shared<T> to, const HalfWords& words) {
  *reinterpret_cast<HalfWords*>(to) = words;
}

/// Two adjacent elements of global or shared memory, aligned to both.
__device__ inline void store_pair(float* to, float low, float high) {
  *reinterpret_cast<float2*>(to) = make_float2(low, high);
}
__device__ inline void store_pair(BFloat16* to, float low, float high) {
  *reinterpret_cast<uint32_t*>(to) = pack_bf16(low, high);
}
__device__ inline float2 read_pair(Shared<float> from) {
  return *reinterpret_cast<const float2*>(from);
}
__device__ inline float2 read_pair(Shared<BFloat16> from) {
  const uint32_t word = *reinterpret_cast<const uint32_t*>(from);
  return make_float2(__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000u));
}

/// Four 8 × 8 matrices: lane i gives the address of a row (lanes 8m to 8m + 7: matrix m); words[m]
/// is row lane/4, columns 2(lane mod 4) and the next, of matrix m or of its transpose.
__device__ inline void load_matrices(Shared<BFloat16> row, uint32_t (&words)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
}
__device__ inline void load_matrices_transposed(Shared<BFloat16> row, uint32_t (&words)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
}

/// c [16, 8] += a [16, 16] b [16, 8] over the warp.
__device__ inline void multiply_add_bf16(float (&c)[4], const uint32_t (&a)[4],
                                         const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/// c [16, 8] += a [16, 8] b [8, 8] over the warp; operands rounded to tf32 before.
__device__ inline void multiply_add_tf32(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
        "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
}

/// 16 bytes from global to shared memory, both aligned; complete after commit and wait.
template <class T>
__device__ void copy_async(Shared<T> to, const T* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<uint32_t>(__cvta_generic_to_shared(to))),
               "l"(from)
               : "memory");
}
__device__ inline void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kPending>
__device__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

}  // namespace longhaul::core::device

#endif
