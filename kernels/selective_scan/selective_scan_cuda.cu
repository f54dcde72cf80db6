#include "kernels/core/error.h"
#include "kernels/selective_scan/selective_scan.h"

namespace longhaul::kernels::cuda {
namespace {
[[noreturn]] void missing() { throw core::Error("selective_scan is not there on CUDA yet"); }
}  // namespace

void selective_scan_forward(core::Context&, const SelectiveScanForward&) { missing(); }
void selective_scan_map(core::Context&, const SelectiveScanForward&, const SelectiveScanMap&) {
  missing();
}
void selective_scan_backward(core::Context&, const SelectiveScanBackward&) { missing(); }
void selective_scan_backward_map(core::Context&, const SelectiveScanBackward&,
                                 const core::TensorView&) {
  missing();
}

}  // namespace longhaul::kernels::cuda
