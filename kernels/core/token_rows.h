#pragma once

#include "kernels/core/tensor.h"

namespace longhaul::core {

/// Null where the view is absent.
template <class T>
T* optional_data(const TensorView& view) {
  return view ? view.data<T>() : nullptr;
}

/// [batch, length, …] on the host with free batch and token strides.
template <class T>
struct TokenRows {
  T* data = nullptr;
  int64_t batch_stride = 0, token_stride = 0;

  TokenRows() = default;
  explicit TokenRows(const TensorView& view)
      : data(optional_data<T>(view)),
        batch_stride(view ? view.stride(0) : 0),
        token_stride(view ? view.stride(1) : 0) {}
  T* at(int64_t b, int64_t t) const { return data + b * batch_stride + t * token_stride; }
};

}  // namespace longhaul::core
