// Timing on any device, and what the device can do at best.
#pragma once

#include <functional>

#include "kernels/core/context.h"
#include "kernels/core/dtype.h"
#include "kernels/core/tensor.h"

namespace longhaul::bench {

struct Repetition {
  double seconds = 0.2;  ///< that a measurement takes at least
};
/// Seconds of one call: calls are started one after the other and waited for together, in rounds;
/// the fastest round counts.
double time_of(core::Context& context, const Repetition& repetition,
               const std::function<void()>& body);

struct Normal {
  double mean = 0, deviation = 1;
};
/// Power draw, and with it the clock, depends on the numbers: never zeros.
core::Tensor normal_tensor(core::Context& context, core::DType dtype, const core::Shape& shape,
                           const Normal& values);

struct Ceilings {
  double bytes_per_second = 0;  ///< read and written by copying a tensor far larger than the caches
  double flops_per_second = 0;  ///< of a large matrix product (kernels/linear) of this dtype
};
Ceilings measure_ceilings(core::Context& context, core::DType dtype, const Repetition& repetition);

}  // namespace longhaul::bench
