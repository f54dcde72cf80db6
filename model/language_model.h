// A recurrent language model with its state at the surface: any state in, any state out, gradients
// to both.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "dist/state_exchange.h"
#include "kernels/core/context.h"
#include "kernels/loss/linear_cross_entropy.h"
#include "model/block.h"
#include "model/config.h"
#include "model/parameters.h"
#include "model/recurrent_state.h"
#include "model/retention.h"

namespace longhaul::model {

struct TrainStep {
  core::TensorView tokens, labels;          ///< [batch, length] I32; label −1 does not count
  const RecurrentState* initial = nullptr;  ///< nullptr: zeros
  double scale = 1;                         ///< of Σ loss: 1 / global number of labels
  RecurrentState* final_state =
      nullptr;  ///< written if given (under SequenceParallel: true on the last rank of the group)
  const RecurrentState* dfinal = nullptr;  ///< gradient arriving at the final state; nullptr: none
  RecurrentState* dinitial =
      nullptr;  ///< written if given (under SequenceParallel: true on the first rank)
  const SequenceParallel* parallel = nullptr;
  /// For work that is recorded: tokens and labels were checked, scale and losses lie on the device.
  const kernels::DeferredLoss* deferred = nullptr;
  /// The parameters' gradients are those of this pass alone, whatever was there: those of matrices
  /// are then stored, not read and added to.
  bool overwrite_gradients = false;
  bool recompute = false;  ///< keep only some blocks' inputs, run them again (model/retention.h)
  /// Called as soon as gradients [begin, end) of the flat buffer are final on this rank.
  std::function<void(int64_t begin, int64_t end)> gradients_ready;
};

struct ForwardPass {
  core::TensorView tokens;  ///< [batch, length] I32
  core::TensorView labels;  ///< or absent
  const RecurrentState* initial = nullptr;
  RecurrentState* final_state = nullptr;
  const SequenceParallel* parallel = nullptr;
  bool tokens_checked = false;
  core::TensorView loss;         ///< [batch, length] state dtype, or absent: loss of every label
  core::TensorView predicted;    ///< [batch, length] I32, or absent: most likely next token
  core::TensorView logits;       ///< [batch, length, vocabulary] or absent
  core::TensorView last_logits;  ///< [batch, vocabulary] (or state dtype) or absent: of the last
  /// For each layer [batch, decays] (StateSpec), state dtype: the sums of log-decays over the
  /// tokens (under SequenceParallel: over this rank's); or empty.
  std::vector<core::TensorView> log_decays;
};

class LanguageModel {
 public:
  /// Parameters are uninitialised; see model/init.h and model/checkpoint.
  LanguageModel(core::Context& context, ModelConfig config, core::DType dtype = core::DType::kF32);
  ~LanguageModel();

  const ModelConfig& config() const { return config_; }
  core::DType dtype() const { return dtype_; }
  core::Context& context() const { return context_; }
  ParameterSet& parameters() { return *parameters_; }
  const ParameterSet& parameters() const { return *parameters_; }
  const std::vector<StateSpec>& state_specs() const { return state_specs_; }
  RecurrentState make_state(int64_t batch) const;

  /// Adds gradients of scale · Σ loss (+ ⟨dfinal, final state⟩) to parameters().gradients(), or
  /// overwrites those.
  kernels::LossSum forward_backward(const TrainStep& step);
  kernels::LossSum forward(const ForwardPass& pass);

  /// Floating-point operations per token of forward; a training step counts three times (reference:
  /// C6 of "Transformers are SSMs" accounting: projections, SSD with causal skipping, conv, head).
  double flops_per_token() const;

 private:
  struct Trace;
  void run_blocks(const ForwardPass& pass, const Retention& retention, Trace& trace);
  core::Tensor final_norm(const Trace& trace, core::Tensor& rstd);
  core::Tensor residual_stream(int64_t rows) const;
  kernels::LossSum backward_of_head(const TrainStep& step, Trace& trace,
                                    const core::TensorView& dresidual);
  void run_again(const TrainStep& step, int64_t last, Trace& trace);
  void backward_of_block(const TrainStep& step, size_t index, Trace& trace,
                         const core::TensorView& dresidual);
  static void announce(const TrainStep& step, int64_t begin, int64_t end);
  core::TensorView head_weight() const;

  core::Context& context_;
  ModelConfig config_;
  core::DType dtype_;
  std::unique_ptr<ParameterSet> parameters_;
  std::vector<StateSpec> state_specs_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace longhaul::model
