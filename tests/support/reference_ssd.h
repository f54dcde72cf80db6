// The recurrence of kernels/ssd as the formula says it, token by token in double, and its exact
// adjoint. The oracle for every faster form; shares no code with them.
#pragma once

#include <cstdint>
#include <vector>

namespace longhaul::testing {

struct SsdSizes {
  int64_t batch = 1, length = 1, heads = 1, head_dim = 1, groups = 1, state = 1;
};

/// Row-major in the shapes of kernels/ssd/ssd.h; D and initial_state may be empty (0).
struct SsdInputs {
  std::vector<double> x, dt, A_log, B, C, D, initial_state;
};

struct SsdOutputs {
  std::vector<double> y, final_state;
  std::vector<double> states;  ///< [batch, length + 1, heads, head_dim, state]; states[:, 0] enters
};
SsdOutputs reference_ssd(const SsdSizes& sizes, const SsdInputs& inputs);

struct SsdGradients {
  std::vector<double> dx, ddt, dA_log, dB, dC, dD, dinitial_state;
  /// [heads], Σ |terms of dA_log|: what its rounding error is proportional to.
  std::vector<double> dA_log_terms;
};
/// dfinal_state may be empty (0).
SsdGradients reference_ssd_backward(const SsdSizes& sizes, const SsdInputs& inputs,
                                    const std::vector<double>& dy,
                                    const std::vector<double>& dfinal_state);

}  // namespace longhaul::testing
