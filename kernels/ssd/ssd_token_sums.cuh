// y and dx: the same sum over the tokens of a chunk and a state, forwards and backwards in time.
//   forward:  y_i  = e^{c_i} S C_i + Σ_{j ≤ i} Γ_ij M_ij dt_j x_j + D x_i
//   backward: dx_j = dt_j (e^{c_Q − c_j} G B_j + Σ_{i ≥ j} Γ_ij M_ij dy_i) + D dy_j
#pragma once

#include "kernels/ssd/ssd_device.cuh"

namespace longhaul::kernels::cuda::ssd {

template <class T>
struct TokenSums {
  Geometry g;
  Tokens<const T> values;  ///< x; backward: dy
  Tokens<const T> keys;    ///< C; backward: B
  const T* states;         ///< S; backward: G; null: without that part
  const float* gram;       ///< null: without that part, what is there of the rest is added to out
  Tokens<const float> dt;
  const float* D;  ///< or null
  Decays decays;
  Tokens<T> out;
};

template <class T, Direction kDirection>
void run_token_sums(core::Context& context, const TokenSums<T>& args);
/// The same for what goes by rows (ssd_rows.cuh), with the gram.
template <Direction kDirection>
void run_row_sums(core::Context& context, const TokenSums<BFloat16>& args);

}  // namespace longhaul::kernels::cuda::ssd
