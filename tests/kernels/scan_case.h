// One call of the selective scan with all its tensors, on any device.
#pragma once

#include <string>
#include <vector>

#include "kernels/core/context.h"
#include "kernels/selective_scan/selective_scan.h"
#include "tests/support/reference_scan.h"

namespace longhaul::testing {

/// What a case is made of. dt and A_log are drawn so that tokens forget between almost nothing and
/// almost everything of the state.
struct ScanShape {
  ScanSizes sizes;
  bool with_initial_state = true;
  uint64_t seed = 1;
};
std::string name_of(const ScanShape& shape);
void PrintTo(const ScanShape& shape, std::ostream* out);
/// Edges: lengths 0, 1 and around a chunk, states of 1 to 40, channels beside multiples of any
/// block.
std::vector<ScanShape> scan_shapes();
/// Inputs of a shape; the same numbers for any dtype.
ScanInputs scan_inputs(const ScanShape& shape);

/// How the caller holds what has a row a token: separate tensors, or slices of wider ones that
/// begin at a column of odd number.
enum class ScanLayout { kSeparate, kSlices };

/// Owns the tensors of forward and backward. Outputs start as NaN, accumulated ones as 0.
class ScanCase {
 public:
  ScanCase(core::Context& context, core::DType dtype, const ScanShape& shape,
           const ScanInputs& inputs, ScanLayout layout = ScanLayout::kSeparate);

  kernels::SelectiveScanForward forward() const;
  kernels::SelectiveScanBackward backward() const;
  /// The same of tokens [begin, end); states are the caller's to set.
  kernels::SelectiveScanForward forward(int64_t begin, int64_t end) const;
  kernels::SelectiveScanBackward backward(int64_t begin, int64_t end) const;
  void run(core::Context& context) const;
  /// Inputs as the case holds them, rounded to its dtype.
  ScanInputs rounded_inputs() const;
  ScanGradients gradients() const;
  /// All that forward and backward wrote, for comparisons bit by bit.
  std::vector<std::vector<double>> outputs() const;

  void expect_forward(double tolerance) const;
  void expect_gradients(double tolerance) const;
  /// Every form takes from the pool what kernels/workspace.h says.
  void expect_workspaces(core::Context& context) const;

  ScanShape shape;
  core::TensorView x, dt, B, C, y, dy, dx, ddt, dB, dC;
  core::Tensor dt_bias, A_log, D, initial_state, final_state, chunk_states, log_decay;
  core::Tensor dfinal_state, ddt_bias, dA_log, dD, dinitial_state;
  core::Tensor state_from_zero, dstate_from_zero;

 private:
  core::TensorView rows(core::Context& context, core::DType dtype, int64_t width,
                        ScanLayout layout);
  std::vector<core::Tensor> storage_;  ///< of the views
};

/// The reference's states where chunks begin.
std::vector<double> entering_states(const ScanShape& shape, const ScanOutputs& reference);

}  // namespace longhaul::testing
