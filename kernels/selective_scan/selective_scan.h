// The Mamba-1 recurrence (selective scan, S6), any state in, any state out:
//   Δ_t = softplus(raw_t + bias),  A = −exp(A_log);
//   h_t = e^{Δ_t A} ⊙ h_{t−1} + Δ_t x_t B_tᵀ;   y_t = h_t C_t + D ⊙ x_t
// (Gu & Dao, "Mamba", 2023, algorithm 2). Every channel has a time step of its own, every element
// of the state a decay of its own: a segment of any length is the affine map h_out = a ⊙ h_in +
// h_ext with a = exp(ΣΔ A), of the state's shape. Chunk, rank and step borders are the same thing.
//
// Shapes: x, dt, y [batch, length, channels]; B, C [batch, length, state]; A_log [channels, state];
// D, dt_bias [channels]; states and log-decays [batch, channels, state]; chunk states [batch,
// chunks, channels, state], chunks = ⌈length / kScanChunk⌉. x, dt, y, B, C and their gradients have
// one dtype and may have free batch and token strides with the last dimension packed. dt is raw,
// before bias and softplus. A_log, D, dt_bias, states and chunk states have the state dtype (fp32,
// fp64 in fp64 models). Any length ≥ 0.
#pragma once

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels {

/// Tokens between the states that are kept for backward.
inline constexpr int64_t kScanChunk = 64;
inline int64_t scan_chunks(int64_t length) { return (length + kScanChunk - 1) / kScanChunk; }

/// Bytes of shared memory that a block of threads takes at most; 0 on the CPU. A state above 16
/// takes more than devices of 99 KiB have.
int64_t scan_block_bytes(core::DeviceKind device, core::DType dtype, int64_t state);

struct SelectiveScanForward {
  core::TensorView x, dt, dt_bias, A_log, B, C, D;
  core::TensorView initial_state;  ///< or absent (0)
  core::TensorView y;
  core::TensorView final_state;   ///< or absent; may be initial_state
  core::TensorView chunk_states;  ///< the state entering each chunk, kept for backward; or absent
  core::TensorView log_decay;     ///< ΣΔ A; or absent
};
void selective_scan_forward(core::Context& context, const SelectiveScanForward& args);

/// The segment map alone, for a segment whose initial state comes from another rank meanwhile:
/// log_decay = ΣΔ A and state_from_zero = h_ext. Of `args` it reads x, dt, dt_bias, A_log and B.
struct SelectiveScanMap {
  core::TensorView log_decay, state_from_zero;
};
void selective_scan_map(core::Context& context, const SelectiveScanForward& args,
                        const SelectiveScanMap& map);

struct SelectiveScanBackward {
  core::TensorView x, dt, dt_bias, A_log, B, C, D, chunk_states;  ///< as forward left them
  core::TensorView dy;
  core::TensorView dfinal_state;          ///< or absent (0)
  core::TensorView dx, ddt, dB, dC;       ///< overwritten; ddt: of the raw dt
  core::TensorView ddt_bias, dA_log, dD;  ///< accumulated, fixed order
  core::TensorView dinitial_state;        ///< overwritten, or absent
};
void selective_scan_backward(core::Context& context, const SelectiveScanBackward& args);

/// dstate_from_zero = gradient to this segment's initial state if dfinal_state were 0. The map of
/// the reverse scan is dh_in = a ⊙ dh_out + dstate_from_zero with forward's log_decay. Of `args` it
/// reads dt, dt_bias, A_log, C and dy.
void selective_scan_backward_map(core::Context& context, const SelectiveScanBackward& args,
                                 const core::TensorView& dstate_from_zero);

namespace cpu {
void selective_scan_forward(core::Context& context, const SelectiveScanForward& args);
void selective_scan_map(core::Context& context, const SelectiveScanForward& args,
                        const SelectiveScanMap& map);
void selective_scan_backward(core::Context& context, const SelectiveScanBackward& args);
void selective_scan_backward_map(core::Context& context, const SelectiveScanBackward& args,
                                 const core::TensorView& dstate_from_zero);
}  // namespace cpu
namespace cuda {
void selective_scan_forward(core::Context& context, const SelectiveScanForward& args);
void selective_scan_map(core::Context& context, const SelectiveScanForward& args,
                        const SelectiveScanMap& map);
void selective_scan_backward(core::Context& context, const SelectiveScanBackward& args);
void selective_scan_backward_map(core::Context& context, const SelectiveScanBackward& args,
                                 const core::TensorView& dstate_from_zero);
}  // namespace cuda

}  // namespace longhaul::kernels
