#pragma once

#include "kernels/core/pack.cuh"

namespace longhaul::core::device {

/// [batch, length, …] with free batch and token strides; data is null for an absent view.
template <class T>
struct Tokens {
  T* data = nullptr;
  int64_t batch_stride = 0, token_stride = 0;

  Tokens() = default;
  explicit Tokens(const TensorView& view)
      : data(optional_pointer<std::remove_const_t<T>>(view)),
        batch_stride(view ? view.stride(0) : 0),
        token_stride(view ? view.stride(1) : 0) {}
  __device__ T* at(int64_t b, int64_t t) const {
    return data + b * batch_stride + t * token_stride;
  }
};

}  // namespace longhaul::core::device
