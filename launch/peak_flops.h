#pragma once

#include "kernels/core/context.h"
#include "kernels/core/dtype.h"

namespace longhaul::launch {

/// Floating-point operations per second of a matrix product on this rank's threads, measured for
/// about a fifth of a second; what utilisation is told against. 0 where there is nothing to measure
/// with.
double measure_peak_flops(core::Context& context, core::DType dtype);

}  // namespace longhaul::launch
