// Tensors for tests: filled from the counter-based generator or from doubles, and read back as
// doubles.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::testing {

/// shift + scale · normal; the same numbers whatever the dtype they end up in.
std::vector<double> random_values(int64_t count, uint64_t seed, double scale = 1, double shift = 0);

/// `values` rounded to `dtype` (fp32, fp64 or bf16), row-major.
core::Tensor tensor_of(core::Context& context, core::DType dtype, core::Shape shape,
                       const std::vector<double>& values);

core::Tensor random_tensor(core::Context& context, core::DType dtype, core::Shape shape,
                           uint64_t seed, double scale = 1, double shift = 0);

/// A contiguous tensor on the host that belongs to no context.
struct HostTensor {
  explicit HostTensor(const core::TensorView& like);
  operator core::TensorView() const { return view; }  // NOLINT(google-explicit-constructor)
  std::vector<unsigned char> bytes;
  core::TensorView view;
};
/// What a view on any device holds once all that was started there is done.
HostTensor host_copy(const core::TensorView& view);

/// Elements of a view of any dtype, strides and device, in row-major order.
std::vector<double> values_of(const core::TensorView& view);

/// The reverse: writes `values` in row-major order into a view of any strides and device (fp32,
/// fp64 or bf16).
void assign(const core::TensorView& view, const std::vector<double>& values);

}  // namespace longhaul::testing
