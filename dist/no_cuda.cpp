// The cuda:: side of the exchanges in a build without CUDA.
#include "dist/segment_map.h"
#include "kernels/core/error.h"

namespace longhaul::dist::cuda {

namespace {

[[noreturn]] void unavailable() { throw core::Error("built without CUDA"); }

}  // namespace

void apply_maps(core::Context&, const MapApplication&, int64_t, int64_t) { unavailable(); }
void add_log_decays(core::Context&, const core::TensorView&, const core::TensorView&) {
  unavailable();
}
void fill(core::Context&, const core::TensorView&, double) { unavailable(); }
void add_rows(core::Context&, const core::TensorView&, const core::TensorView&) { unavailable(); }

}  // namespace longhaul::dist::cuda
