// Output head and cross-entropy in one op that never holds all logits: rows are taken in blocks.
//   logits = hidden Wᵀ;  loss_r = logsumexp(logits_r) − logits_r[label_r]   (nats; label −1: the
//   row does not count)
#pragma once

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::kernels {

/// For work that is recorded (core/cuda_graph.h): the op takes nothing from the host and gives it
/// nothing. Labels were checked by the caller.
struct DeferredLoss {
  core::TensorView scale;   ///< [1] fp64: in the place of the number
  core::TensorView losses;  ///< [rows] fp64, written; their sum in order is LossSum::sum
};

/// hidden [rows, width], weight [vocabulary, width], labels [rows] I32. Every output may be absent:
/// loss [rows] (state dtype; 0 where the label is −1), predicted [rows] I32 (first arg max),
/// dhidden [rows, width] overwritten, dweight [vocabulary, width] accumulated, or overwritten
/// (overwrite_dweight: what was there is not read), both of scale · Σ_r loss_r.
struct LinearCrossEntropy {
  core::TensorView hidden, weight, labels;
  double scale = 1;
  core::TensorView loss, predicted, dhidden, dweight;
  bool overwrite_dweight = false;
  const DeferredLoss* deferred = nullptr;  ///< then LossSum is empty
};
struct LossSum {
  double sum = 0;     ///< Σ loss_r over counted rows, unscaled, added in row order
  int64_t count = 0;  ///< counted rows
};
LossSum linear_cross_entropy(core::Context& context, const LinearCrossEntropy& args);

namespace cpu {
/// Rows whose logits are held at once: about 4 MiB, but enough rows that the products, which read
/// all of weight for each block, are bound by arithmetic.
int64_t cross_entropy_block_rows(int64_t rows, int64_t vocabulary, int64_t element_size);
LossSum linear_cross_entropy(core::Context& context, const LinearCrossEntropy& args);
}  // namespace cpu
namespace cuda {
LossSum linear_cross_entropy(core::Context& context, const LinearCrossEntropy& args);
struct CrossEntropyRows;  // cuda_sizes.h
/// With so many rows at once; those of gradients are whole blocks of logits, or all.
LossSum linear_cross_entropy(core::Context& context, const LinearCrossEntropy& args,
                             const CrossEntropyRows& held);
}  // namespace cuda

}  // namespace longhaul::kernels
