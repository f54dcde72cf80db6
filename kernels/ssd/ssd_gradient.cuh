// The parts of the backward pass on the device. With G the gradient to the state that leaves a
// chunk, S the state that enters it, M_ij = e^{c_i − c_j} for j ≤ i, Γ_ij = C_i·B_j:
//   dx_j = dt_j (e^{c_Q − c_j} G B_j + Σ_i Γ_ij M_ij dy_i) + D dy_j
//   dΓ_ij = Σ_heads ⟨dy_i, x_j⟩ M_ij dt_j;   dB_j = Σ_i dΓ_ij C_i + Σ_heads e^{c_Q − c_j} dt_j Gᵀ
//   x_j; dC_i = Σ_j dΓ_ij B_j + Σ_heads e^{c_i} Sᵀ dy_i
// "intra" are the terms without G, "inter" those with it; the staged form runs them apart.
#pragma once

#include "kernels/ssd/ssd.h"
#include "kernels/ssd/ssd_device.cuh"

namespace longhaul::kernels::cuda::ssd {

/// Per token of each head of each chunk; P_ij = ⟨dy_i, x_j⟩ Γ_ij M_ij. Sums along rows are there in
/// parts, one for each half tile of the columns, to be added.
struct TokenTerms {
  float* rows;       ///< [.., tile pairs, 2, 64]: Σ_{j < i} P_ij dt_j over tile J, for i of tile I
  float* columns;    ///< [.., tile pairs, 64]: Σ_{i > j} P_ij over tile I, for j of tile J
  float* dots;       ///< [.., padded chunk]: ⟨dy_i, x_i⟩
  float* to_output;  ///< [state halves, .., padded chunk]: ⟨dy_i, e^{c_i} S C_i⟩
  float* to_leaving;  ///< [state halves, .., padded chunk]: ⟨e^{c_Q − c_j} G B_j, x_j⟩
  /// By rows (ssd_rows.cuh) all are [.., padded chunk], whole sums.
  bool by_rows;
};
/// Per head of each chunk, [batch, chunks, heads].
struct HeadTerms {
  float* through;         ///< e^{c_Q} ⟨S, G⟩, [.., through_parts]
  int64_t through_parts;  ///< to be added
  double* dy_x;           ///< Σ ⟨dy_i, x_i⟩; with intra only
  double* decay;          ///< Σ dt dℓ
};

/// Of one token of one head: what its dℓ and ddt are made of.
struct TokenSum {
  float dt = 0, rows = 0, columns = 0, diagonal = 0, output = 0, leaving = 0;

  /// What a step from this token to the next changes of dℓ: pairs that end here are behind it,
  /// pairs that begin here are not. The differences are taken of sums in double, so nothing
  /// cancels.
  __device__ double step() const {
    return static_cast<double>(dt * columns) - static_cast<double>(rows) -
           static_cast<double>(output) + static_cast<double>(dt * leaving);
  }
  /// What of ddt does not come through the decays.
  __device__ float direct() const { return columns + diagonal + leaving; }
};

template <class T>
struct Gradient {
  Geometry g;
  Tokens<const T> x, B, C, dy;
  Tokens<const float> dt;
  const float *A_log, *D;
  const T *entering, *leaving;  ///< S and G of each chunk; leaving null without inter
  const float* gram;            ///< null without intra
  Decays decays;
  Tokens<T> dx, dB, dC;
  Tokens<float> ddt;
  TokenTerms tokens;
  HeadTerms sums;
  int dgram_parts;  ///< of dΓ, to be added; more than 1 by rows only
  bool intra, inter;
};

/// The stages, in the order in which they are run. dgram [parts, batch, chunks, groups, padded,
/// padded] is absent without intra.
template <class T>
void run_pairs(core::Context& context, const Gradient<T>& args, const core::TensorView& dgram);
template <class T>
void run_inputs(core::Context& context, const Gradient<T>& args);
template <class T>
void run_groups(core::Context& context, const Gradient<T>& args, const core::TensorView& dgram);
/// The same for what goes by rows (ssd_rows.cuh).
void run_row_pairs(core::Context& context, const Gradient<BFloat16>& args,
                   const core::TensorView& dgram);
void run_row_groups(core::Context& context, const Gradient<BFloat16>& args,
                    const core::TensorView& dgram);
void run_row_decays(core::Context& context, const Gradient<BFloat16>& args);
template <class T>
void run_decays(core::Context& context, const Gradient<T>& args, const core::TensorView& dA_log,
                const core::TensorView& dD);

}  // namespace longhaul::kernels::cuda::ssd
