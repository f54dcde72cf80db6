// One call of the recurrence with all its tensors, for the tests of kernels/ssd.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/core/context.h"
#include "kernels/ssd/ssd.h"
#include "tests/support/reference_ssd.h"

namespace longhaul::testing {

/// What a case is made of. dt and A_log are drawn so that tokens forget between almost nothing and
/// almost everything of the state.
struct SsdShape {
  SsdSizes sizes;
  int64_t chunk = 64;
  bool with_D = true, with_initial_state = true;
  uint64_t seed = 1;
};
std::string name_of(const SsdShape& shape);
void PrintTo(const SsdShape& shape, std::ostream* out);
/// 48 shapes: edges first (length 0 and 1, one head, odd extents, groups), then drawn at random.
std::vector<SsdShape> ssd_shapes();
/// Inputs of a shape; the same numbers for any dtype.
SsdInputs ssd_inputs(const SsdShape& shape);

/// How the caller holds x, B, C and their gradients: separate tensors, or slices of one
/// [batch, length, E + 2GN].
enum class SsdLayout { kSeparate, kPacked };

/// Owns the tensors of forward and backward. Outputs start as NaN, accumulated ones as 0.
class SsdCase {
 public:
  SsdCase(core::Context& context, core::DType dtype, const SsdShape& shape, const SsdInputs& inputs,
          SsdLayout layout = SsdLayout::kSeparate);

  kernels::SsdForward forward() const;
  kernels::SsdBackward backward() const;
  /// Inputs as the case holds them, rounded to its dtype.
  SsdInputs rounded_inputs() const;
  SsdGradients gradients() const;

  SsdShape shape;
  core::TensorView x, B, C, dx, dB, dC;
  core::Tensor dt, A_log, D, initial_state;
  core::Tensor y, final_state, chunk_states;
  core::Tensor dy, dfinal_state, ddt, dA_log, dD, dinitial_state, dchunk_states;
  core::Tensor log_decay, state_from_zero, dstate_from_zero;

 private:
  void lay_out(core::Context& context, core::DType dtype, SsdLayout layout);
  std::vector<core::Tensor> storage_;  ///< of the views
};

void run_staged_forward(core::Context& context, SsdCase& c);
void run_staged_backward(core::Context& context, SsdCase& c);

}  // namespace longhaul::testing
