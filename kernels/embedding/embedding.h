// Token embedding: y[r] = weight[tokens[r]].
#pragma once

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels {

/// tokens [rows] I32 in [0, vocabulary); weight [vocabulary, width]; y [rows, width], of
/// the weight's dtype or its state dtype. Tokens are checked, and a device is waited for to do so,
/// unless the caller has done it.
struct EmbeddingForward {
  core::TensorView tokens, weight;
  core::TensorView y;
  bool tokens_checked = false;
};
void embedding_forward(core::Context& context, const EmbeddingForward& args);

/// dweight[tokens[r]] += dy[r], rows in order: deterministic at any number of threads.
struct EmbeddingBackward {
  core::TensorView tokens, dy;
  core::TensorView dweight;
  bool tokens_checked = false;
};
void embedding_backward(core::Context& context, const EmbeddingBackward& args);

namespace cpu {
void embedding_forward(core::Context& context, const EmbeddingForward& args);
void embedding_backward(core::Context& context, const EmbeddingBackward& args);
}  // namespace cpu
namespace cuda {
void embedding_forward(core::Context& context, const EmbeddingForward& args);
void embedding_backward(core::Context& context, const EmbeddingBackward& args);
}  // namespace cuda

}  // namespace longhaul::kernels
