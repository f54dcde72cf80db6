// The Mamba-2 recurrence (state-space duality), any state in, any state out:
//   ℓ_t = dt_t A,  A = −exp(A_log);   S_t = e^{ℓ_t} S_{t−1} + dt_t x_t B_tᵀ;   y_t = S_t C_t + D
//   x_t
// computed in chunks of Q tokens (Dao & Gu, "Transformers are SSMs", 2024, section 6).
// A segment of any length is the affine map S_out = a ⊙ S_in + S_ext with a = exp(Σℓ), one per
// head; chunk, rank and step borders are the same thing.
//
// Shapes: x, y [batch, length, heads, head_dim]; dt [batch, length, heads]; B, C [batch, length,
// groups, state]; A_log, D [heads]; states [batch, heads, head_dim, state]; chunk states [batch,
// chunks, heads, head_dim, state], chunks = ⌈length/chunk⌉. Head h reads group ⌊h·groups/heads⌋. x,
// y, B, C (and dx, dy, dB, dC) may have free batch and token strides with the last two dimensions
// packed. dt, A_log, D and states have the state dtype (fp32, fp64 in fp64 models); chunk states,
// which products alone read again, the dtype of x. Any length ≥ 0.
#pragma once

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels {

inline int64_t ssd_chunks(int64_t length, int64_t chunk) { return (length + chunk - 1) / chunk; }

/// Bytes of shared memory that a block of threads takes at least; 0 on the CPU.
int64_t ssd_block_bytes(core::DeviceKind device, core::DType dtype);

/// What to take in the place of `chunk`, which checkpoints bring with them and which is a matter of
/// speed: 128 where a GPU has faster kernels for it (bf16, heads of 64, states of 128), else
/// itself.
int64_t ssd_best_chunk(core::DeviceKind device, core::DType dtype, int64_t head_dim, int64_t state,
                       int64_t chunk);

struct SsdForward {
  core::TensorView x, dt, A_log, B, C;
  core::TensorView D;              ///< or absent (0)
  core::TensorView initial_state;  ///< or absent (0)
  int64_t chunk = 64;
  core::TensorView y;
  core::TensorView final_state;  ///< or absent
  core::TensorView
      chunk_states;  ///< the state entering each chunk, kept for backward; or absent in ssd_forward
  core::TensorView log_decay;  ///< [batch, heads] = Σℓ; or absent; ssd_forward alone writes it
};
/// The whole operation where the initial state is known from the start.
void ssd_forward(core::Context& context, const SsdForward& args);

/// The same in three stages, for a segment whose initial state comes from another rank meanwhile.
/// 1. The segment map: log_decay [batch, heads] = Σℓ, state_from_zero = S_ext. Ready before any
///    intra-chunk work. chunk_states (required) hold what the stages hand on.
struct SsdMap {
  core::TensorView log_decay, state_from_zero;
};
void ssd_forward_map(core::Context& context, const SsdForward& args, const SsdMap& map);
/// 2. y = the part that does not depend on the initial state's arrival: intra-chunk products and D
/// x.
void ssd_forward_intra(core::Context& context, const SsdForward& args);
/// 3. With the true initial_state: y += S C, final_state; chunk_states become the entering states.
void ssd_forward_inter(core::Context& context, const SsdForward& args);

struct SsdBackward {
  core::TensorView x, dt, A_log, B, C, D,
      chunk_states;  ///< as in forward; chunk_states as it left them
  int64_t chunk = 64;
  core::TensorView dy;
  core::TensorView dfinal_state;     ///< or absent (0)
  core::TensorView dx, ddt, dB, dC;  ///< overwritten
  core::TensorView dA_log, dD;       ///< accumulated, fixed order; dD absent iff D is
  core::TensorView dinitial_state;   ///< overwritten, or absent
  core::TensorView
      dchunk_states;  ///< scratch shaped as chunk_states; required by the staged form only
};
void ssd_backward(core::Context& context, const SsdBackward& args);

/// Staged: 1. dstate_from_zero = gradient to this segment's initial state if dfinal_state were 0
/// (the map of the reverse scan is dS_in = a ⊙ dS_out + dstate_from_zero with the same log_decay);
void ssd_backward_map(core::Context& context, const SsdBackward& args,
                      const core::TensorView& dstate_from_zero);
/// 2. everything that needs no state gradient; 3. the rest, with the true dfinal_state.
void ssd_backward_intra(core::Context& context, const SsdBackward& args);
void ssd_backward_inter(core::Context& context, const SsdBackward& args);

/// One token by the plain recurrence: x, y [batch, heads, head_dim]; dt [batch, heads]; B, C
/// [batch, groups, state]; `state` is updated in place. For generation; agrees with the chunked
/// form.
struct SsdStep {
  core::TensorView x, dt, A_log, B, C, D;
  core::TensorView state, y;
};
void ssd_step(core::Context& context, const SsdStep& args);

namespace cpu {
void ssd_forward(core::Context& context, const SsdForward& args);
void ssd_forward_map(core::Context& context, const SsdForward& args, const SsdMap& map);
void ssd_forward_intra(core::Context& context, const SsdForward& args);
void ssd_forward_inter(core::Context& context, const SsdForward& args);
void ssd_backward(core::Context& context, const SsdBackward& args);
void ssd_backward_map(core::Context& context, const SsdBackward& args,
                      const core::TensorView& dstate_from_zero);
void ssd_backward_intra(core::Context& context, const SsdBackward& args);
void ssd_backward_inter(core::Context& context, const SsdBackward& args);
void ssd_step(core::Context& context, const SsdStep& args);
}  // namespace cpu
namespace cuda {
void ssd_forward(core::Context& context, const SsdForward& args);
void ssd_forward_map(core::Context& context, const SsdForward& args, const SsdMap& map);
void ssd_forward_intra(core::Context& context, const SsdForward& args);
void ssd_forward_inter(core::Context& context, const SsdForward& args);
void ssd_backward(core::Context& context, const SsdBackward& args);
void ssd_backward_map(core::Context& context, const SsdBackward& args,
                      const core::TensorView& dstate_from_zero);
void ssd_backward_intra(core::Context& context, const SsdBackward& args);
void ssd_backward_inter(core::Context& context, const SsdBackward& args);
void ssd_step(core::Context& context, const SsdStep& args);
}  // namespace cuda

}  // namespace longhaul::kernels
