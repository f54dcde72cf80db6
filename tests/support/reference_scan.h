// The recurrence of kernels/selective_scan as the formula says it, token by token in double, and
// its exact adjoint. The oracle for every faster form; shares no code with them.
#pragma once

#include <cstdint>
#include <vector>

namespace longhaul::testing {

struct ScanSizes {
  int64_t batch = 1, length = 1, channels = 1, state = 1;
};

/// Row-major in the shapes of kernels/selective_scan/selective_scan.h; initial_state may be empty
/// (0).
struct ScanInputs {
  std::vector<double> x, dt, dt_bias, A_log, B, C, D, initial_state;
};

struct ScanOutputs {
  std::vector<double> y, final_state, log_decay;
  std::vector<double> states;  ///< [batch, length + 1, channels, state]; states[:, 0] enters
};
ScanOutputs reference_scan(const ScanSizes& sizes, const ScanInputs& inputs);

struct ScanGradients {
  std::vector<double> dx, ddt, ddt_bias, dA_log, dB, dC, dD, dinitial_state;
  /// Σ |terms| of dA_log: what its rounding error is proportional to.
  std::vector<double> dA_log_terms;
};
/// dfinal_state may be empty (0).
ScanGradients reference_scan_backward(const ScanSizes& sizes, const ScanInputs& inputs,
                                      const std::vector<double>& dy,
                                      const std::vector<double>& dfinal_state);

}  // namespace longhaul::testing
