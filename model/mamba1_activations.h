// What a Mamba-1 block keeps between forward and backward. Private to model/mamba1_*.
#pragma once

#include "kernels/core/tensor.h"
#include "model/block.h"

namespace longhaul::model {

/// rows = batch · length; x and z are in_proj's outputs, dt B C x_proj's.
struct Mamba1Activations final : BlockActivations {
  core::Tensor normed, rstd;  // [rows, D], [rows]
  core::Tensor x, z;          // [rows, E]
  core::Tensor convolved;     // [rows, E]: x after conv and SiLU
  core::Tensor dtBC;          // [rows, R + 2N]
  core::Tensor dt;            // [rows, E], before bias and softplus
  core::Tensor y;             // [rows, E]
  core::Tensor chunk_states;  // [batch, chunks, E, N]
  core::Tensor log_decay;     // [batch, E, N]; where gradients of states travel
  core::Tensor gated;         // [rows, E]
};

}  // namespace longhaul::model
