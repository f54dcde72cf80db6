// What a Mamba-2 block keeps between forward and backward. Private to model/mamba2_*.
#pragma once

#include "kernels/core/tensor.h"
#include "model/block.h"

namespace longhaul::model {

/// rows = batch · length; names as in the paper: z x B C dt are in_proj's outputs.
struct Mamba2Activations final : BlockActivations {
  core::Tensor normed, rstd;       // [rows, D], [rows]
  core::Tensor zxbcdt;             // [rows, 2E + 2GN + H]
  core::Tensor xBC;                // [rows, E + 2GN], after conv and SiLU
  core::Tensor dt;                 // [rows, H], after softplus
  core::Tensor y;                  // [rows, E]
  core::Tensor chunk_states;       // [batch, chunks, H, P, N]
  core::Tensor log_decay;          // [batch, H]; sequence-parallel only
  core::Tensor gated, gated_rstd;  // [rows, E], [rows, G]
  // MLP
  core::Tensor residual_mid;       // [rows, D]: between mixer and MLP
  core::Tensor normed2, rstd2;     // [rows, D], [rows]
  core::Tensor fc1_out, gate_out;  // [rows, 2F], [rows, F]
};

}  // namespace longhaul::model
