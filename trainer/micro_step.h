// Forward and backward of a micro-batch: this rank's columns of it, in as many consecutive segments
// as asked for, state handed on from each to the next.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "data/batch.h"
#include "dist/mesh.h"
#include "dist/state_exchange.h"
#include "model/language_model.h"
#include "trainer/recorded_pass.h"
#include "trainer/trainer.h"

namespace longhaul::trainer {

class MicroStep {
 public:
  /// `rows`: of a micro-batch on this rank.
  /// Throws InputError if the sequences are too short to give every segment of every rank a token.
  MicroStep(const TrainerConfig& config, const TrainerParts& parts, int64_t rows);

  struct Work {
    const data::Batch& batch;  ///< whole sequences, also under sequence parallelism
    const model::RecurrentState& initial;
    double scale = 1;
    bool overwrite_gradients = false;  ///< whatever was there: the first of an optimizer step
    bool share_final_state = false;    ///< every rank of the sequence group gets the true one
    /// For parts of the gradients that no later backward of this optimizer step adds to.
    std::function<void(int64_t begin, int64_t end)> gradients_ready;
  };
  /// Adds to the gradients, or overwrites them; returns Σ loss over this rank's labels. Gradients
  /// do not cross the borders of segments.
  double run(const Work& work);

  /// Of the last run; true on the last rank of the sequence group, or on all (share_final_state).
  const model::RecurrentState& final_state() const { return states_[(segments_.size() - 1) % 2]; }

 private:
  core::TensorView columns(const std::vector<int32_t>& values, const dist::Segment& own) const;
  double run_segment(const Work& work, size_t index, model::TrainStep step);
  RecordedPass* recorded(const Work& work, size_t index) const;

  core::Context& context_;
  const dist::Mesh& mesh_;
  model::LanguageModel& model_;
  int64_t rows_, length_;
  bool recompute_, full_gradient_;
  std::vector<dist::Segment> segments_;  // columns of the batch that are this rank's
  std::unique_ptr<dist::StateExchange> exchange_;
  std::vector<std::unique_ptr<dist::HaloExchange>> halos_;  // one for each segment
  // None, or one for each segment; with several micro-steps, one more for the first segment of
  // those that add to the gradients.
  std::vector<std::unique_ptr<RecordedPass>> recorded_;
  model::RecurrentState states_[2];  // at the ends of even and odd segments
};

}  // namespace longhaul::trainer
