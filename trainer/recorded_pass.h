// Forward and backward of one segment on a device, recorded once and launched as a whole from then
// on (CUDA graph): a small model's kernels are shorter than the host takes to start them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/core/cuda_graph.h"
#include "kernels/loss/linear_cross_entropy.h"
#include "model/language_model.h"

namespace longhaul::trainer {

class RecordedPass {
 public:
  /// Segments of `rows` sequences and `length` tokens.
  RecordedPass(model::LanguageModel& model, int64_t rows, int64_t length);

  /// forward_backward of `step` with tokens and labels [rows, length] from the host; returns Σ
  /// loss. The first time it runs as it is, which fills the pool and lets the libraries choose; the
  /// second time it is recorded, and again whenever the states lie elsewhere or gradients are to be
  /// overwritten that were added to before, or the other way round. What cannot be
  /// recorded runs as it is, with a warning. gradients_ready is called once, for all of them:
  /// nothing travels during backward.
  double run(const core::TensorView& tokens, const core::TensorView& labels, model::TrainStep step);

 private:
  /// What a recording holds for good.
  struct Fixed {
    std::vector<const void*> addresses;
    bool overwrite_gradients = false;
    bool operator==(const Fixed&) const = default;
  };
  static Fixed fixed_in(const model::TrainStep& step);
  void forward_backward(const model::TrainStep& step);
  double sum_of_losses();

  model::LanguageModel& model_;
  core::Tensor tokens_, labels_, scale_, losses_;
  kernels::DeferredLoss deferred_;
  core::CudaGraph graph_;
  std::optional<Fixed> fixed_;   // in the last run
  int64_t system_releases_ = 0;  // of the pool, when `graph_` was recorded
  bool given_up_ = false;
};

}  // namespace longhaul::trainer
