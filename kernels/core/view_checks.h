// What an op asks of its views before it computes: a wrong shape is a mistake of the caller
// (CHECK).
#pragma once

#include <string_view>

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::core {

/// Present, on the context's device, of this dtype and shape, elements of the last dimension
/// adjacent.
inline void check_rows(const Context& context, std::string_view name, const TensorView& view,
                       DType dtype, const Shape& shape) {
  CHECK(view) << name << " is absent";
  CHECK(view.device() == context.device()) << name << " is on " << name_of(view.device())
                                           << ", the context on " << name_of(context.device());
  CHECK(view.dtype() == dtype) << name << " is " << name_of(view.dtype()) << ", expected "
                               << name_of(dtype);
  CHECK(view.shape() == shape) << name << " is " << view.shape() << ", expected " << shape;
  const int last = shape.rank() - 1;
  CHECK(last < 0 || shape[last] <= 1 || view.stride(last) == 1 || shape.elements() == 0)
      << name << ": the last dimension has stride " << view.stride(last);
}

/// The same, and contiguous as a whole.
inline void check_contiguous(const Context& context, std::string_view name, const TensorView& view,
                             DType dtype, const Shape& shape) {
  check_rows(context, name, view, dtype, shape);
  CHECK(view.is_contiguous() || view.elements() == 0) << name << " is strided, expected contiguous";
}

/// What a view's dtype has to be where both `dtype` and its state dtype (fp32 for bf16) are taken.
inline DType dtype_or_wide(const TensorView& view, DType dtype) {
  const DType wide = state_dtype(dtype);
  return view && view.dtype() == wide ? wide : dtype;
}

inline void check_rank(std::string_view name, const TensorView& view, int rank) {
  CHECK(view) << name << " is absent";
  CHECK_EQ(view.rank(), rank) << name << " is " << view.shape();
}

}  // namespace longhaul::core
