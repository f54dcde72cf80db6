// From the dtype of a view to the C++ type that a CPU op is instantiated with.
#pragma once

#include <string_view>

#include "kernels/core/dtype.h"
#include "kernels/core/error.h"

namespace longhaul::core {

/// body(float{}) or body(double{}); any other dtype is an Error that names the op.
template <class Body>
auto dispatch_float(std::string_view op, DType dtype, const Body& body) {
  switch (dtype) {
    case DType::kF32:
      return body(float{});
    case DType::kF64:
      return body(double{});
    default:
      throw Error(
          message(op, ": dtype ", name_of(dtype), " is not supported on the CPU (fp32, fp64)"));
  }
}

}  // namespace longhaul::core
