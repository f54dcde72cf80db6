// Several adjacent elements of global memory, moved 16 or 8 bytes at a time where alignment allows,
// and worked on in fp32.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "kernels/core/device_code.cuh"
#include "kernels/core/error.h"
#include "kernels/core/launch.cuh"
#include "kernels/core/tensor.h"

namespace longhaul::core::device {

/// Elements of 16 bytes.
template <class T>
inline constexpr int kFull = 16 / static_cast<int>(sizeof(T));

/// Two bf16 of one word, the lower half first.
__device__ inline float2 unpack_bf16(uint32_t word) {
  return {__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000u)};
}

template <class T, int N>
struct Pack {
  static constexpr int64_t kBytes = N * static_cast<int64_t>(sizeof(T));
  float value[N];

  __device__ static Pack load(const T* from) {
    if constexpr (kBytes == 16) {
      return Pack::from(load_words(from));
    } else if constexpr (kBytes == 8) {
      return Pack::from(load_half_words(from));
    } else {
      Pack pack;
      for (int i = 0; i < N; ++i) pack.value[i] = to_float(from[i]);
      return pack;
    }
  }
  /// Of Words or HalfWords, as they lie in memory.
  template <class W>
  __device__ static Pack from(const W& words) {
    static_assert(kBytes == sizeof(W));
    Pack pack;
    if constexpr (sizeof(T) == 4) {
      for (int i = 0; i < N; ++i) pack.value[i] = __uint_as_float(words.word[i]);
    } else {
      for (int i = 0; i < N; i += 2) {
        const float2 two = unpack_bf16(words.word[i / 2]);
        pack.value[i] = two.x;
        pack.value[i + 1] = two.y;
      }
    }
    return pack;
  }

  __device__ auto words() const {
    static_assert(kBytes == 16 || kBytes == 8);
    std::conditional_t<kBytes == 16, Words, HalfWords> words;
    if constexpr (sizeof(T) == 4) {
      for (int i = 0; i < N; ++i) words.word[i] = __float_as_uint(value[i]);
    } else {
      for (int i = 0; i < N; i += 2) words.word[i / 2] = pack_bf16(value[i], value[i + 1]);
    }
    return words;
  }

  __device__ void store(T* to) const {
    if constexpr (kBytes == 16 || kBytes == 8) {
      store_words(to, words());
    } else {
      for (int i = 0; i < N; ++i) to[i] = from_float<T>(value[i]);
    }
  }
};

/// The elements of a Pack as they lie in memory; of bf16 that is half the registers, for what is
/// kept for later.
template <class T, int N>
struct Packed {
  static constexpr int64_t kBytes = Pack<T, N>::kBytes;
  static_assert(N == 1 || kBytes == 16 || kBytes == 8);
  std::conditional_t<N == 1, T, std::conditional_t<kBytes == 16, Words, HalfWords>> elements;

  __device__ static Packed load(const T* from) {
    if constexpr (N == 1) {
      return {*from};
    } else if constexpr (kBytes == 16) {
      return {load_words(from)};
    } else {
      return {load_half_words(from)};
    }
  }
  __device__ void store(T* to) const {
    if constexpr (N == 1) {
      *to = elements;
    } else {
      store_words(to, elements);
    }
  }
  __device__ Pack<T, N> values() const {
    if constexpr (N == 1) {
      return {{to_float(elements)}};
    } else {
      return Pack<T, N>::from(elements);
    }
  }
};

}  // namespace longhaul::core::device

namespace longhaul::core {

/// body(float{}) or body(BFloat16{}); any other dtype is an Error that names the op.
template <class Body>
auto dispatch_device(std::string_view op, DType dtype, const Body& body) {
  switch (dtype) {
    case DType::kF32:
      return body(float{});
    case DType::kBF16:
      return body(BFloat16{});
    default:
      throw Error(
          message(op, ": dtype ", name_of(dtype), " is not supported on CUDA (fp32, bf16)"));
  }
}

/// body(T{}, W{}): the same, and W is T or, where wide_dtype says so, fp32.
template <class Body>
void dispatch_wide(std::string_view op, DType dtype, DType wide_dtype, const Body& body) {
  dispatch_device(op, dtype, [&]<class T>(T) {
    if (wide_dtype == dtype) {
      body(T{}, T{});
    } else {
      body(T{}, float{});
    }
  });
}

/// True if every row of the view begins at a multiple of 16 bytes and is a whole number of them
/// long. An absent view is in nobody's way.
inline bool is_aligned(const TensorView& view) {
  if (!view || view.rank() == 0) return true;
  const int64_t per_word = 16 / size_of(view.dtype());
  if (reinterpret_cast<uintptr_t>(view.raw()) % 16 != 0) return false;
  if (view.extent(view.rank() - 1) % per_word != 0) return false;
  for (int i = 0; i + 1 < view.rank(); ++i) {
    if (view.stride(i) % per_word != 0) return false;
  }
  return true;
}
template <class... Views>
bool all_aligned(const Views&... views) {
  return (is_aligned(views) && ...);
}

/// body(std::integral_constant<int, N>) with the widest pack of T that these views allow.
template <class T, class Body, class... Views>
void with_pack(const Body& body, const Views&... views) {
  if (all_aligned(views...)) {
    body(std::integral_constant<int, device::kFull<T>>{});
  } else {
    body(std::integral_constant<int, 1>{});
  }
}

template <class T>
T* optional_pointer(const TensorView& view) {
  return view ? view.data<T>() : nullptr;
}

namespace device {
template <class Functor>
__global__ void apply_to_each(int64_t count, Functor functor) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    functor(i);
  }
}
}  // namespace device

/// functor(i) for i in [0, count), one device thread each.
template <class Functor>
void for_each(Context& context, int64_t count, const Functor& functor) {
  launch(context, {.blocks = std::min<int64_t>(ceil_div(count, 256), 65536)},
         device::apply_to_each<Functor>, count, functor);
}

}  // namespace longhaul::core
