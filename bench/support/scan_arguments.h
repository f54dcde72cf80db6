// Arguments of the selective scan of a Mamba-1, filled with numbers as models have them.
#pragma once

#include <functional>

#include "kernels/selective_scan/selective_scan.h"

namespace longhaul::bench {

struct ScanArguments {
  kernels::SelectiveScanForward forward;
  kernels::SelectiveScanBackward backward;
  double forward_bytes = 0, backward_bytes = 0;  ///< that have to be read and written
};

/// Normal numbers of a shape, in the op's dtype or in its state dtype.
struct TensorSource {
  std::function<core::TensorView(const core::Shape&)> model;
  std::function<core::TensorView(const core::Shape&, double deviation, double mean)> state;
};
ScanArguments scan_arguments(const TensorSource& make, int64_t batch, int64_t length,
                             int64_t channels, int64_t state);

}  // namespace longhaul::bench
