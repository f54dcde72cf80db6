#include "model/language_model.h"

#include <glog/logging.h>

#include <utility>

#include "kernels/embedding/embedding.h"
#include "kernels/linear/linear.h"
#include "kernels/norm/rms_norm.h"
#include "model/architecture.h"

namespace longhaul::model {

using core::Tensor;
using core::TensorView;

/// What a forward pass leaves for backward, as Retention has it: the residual stream at every
/// block's input (and after the last), what the blocks kept, and the states each block's segment
/// started from.
struct LanguageModel::Trace {
  int64_t batch = 0, length = 0;
  Retention retention;
  std::vector<Tensor> residual;  // [rows, width] each
  std::vector<std::unique_ptr<BlockActivations>> kept;
  RecurrentState entering;  // sequence-parallel only
};

namespace {

/// The views of one block's states out of a whole model's; empty if there is no state.
StateViews block_views(const RecurrentState* state, size_t first, size_t count) {
  StateViews views;
  if (state == nullptr || state->empty()) return views;
  for (size_t i = first; i < first + count; ++i) views.push_back((*state)[i]);
  return views;
}

}  // namespace

LanguageModel::LanguageModel(core::Context& context, ModelConfig config, core::DType dtype)
    : context_(context),
      config_(config),
      dtype_(dtype),
      parameters_(std::make_unique<ParameterSet>(context, dtype, parameters_of(config))) {
  for (int64_t layer = 0; layer < config_.layers; ++layer) {
    blocks_.push_back(make_block(config_, layer, *parameters_));
    for (StateSpec& spec : blocks_.back()->state_specs()) state_specs_.push_back(std::move(spec));
  }
}

LanguageModel::~LanguageModel() = default;

RecurrentState LanguageModel::make_state(int64_t batch) const {
  return RecurrentState(context_, state_specs_, core::state_dtype(dtype_), batch);
}

TensorView LanguageModel::head_weight() const {
  return parameters_->operand(
      *parameters_->find(config_.tied ? "backbone.embeddings.weight" : "lm_head.weight"));
}

/// One point of the residual stream.
Tensor LanguageModel::residual_stream(int64_t rows) const {
  return Tensor(context_, config_.residual_dtype(dtype_), {rows, config_.width});
}

void LanguageModel::run_blocks(const ForwardPass& pass, const Retention& retention, Trace& trace) {
  trace.retention = retention;
  trace.batch = pass.tokens.extent(0);
  trace.length = pass.tokens.extent(1);
  const int64_t rows = trace.batch * trace.length;
  const size_t states_per_block = state_specs_.size() / blocks_.size();
  if (retention.together > 0 && pass.parallel != nullptr) trace.entering = make_state(trace.batch);

  trace.residual.push_back(residual_stream(rows));
  kernels::embedding_forward(
      context_, {.tokens = pass.tokens.reshape({rows}),
                 .weight = parameters_->operand(*parameters_->find("backbone.embeddings.weight")),
                 .y = trace.residual.back(),
                 .tokens_checked = pass.tokens_checked});
  for (size_t i = 0; i < blocks_.size(); ++i) {
    Tensor next = residual_stream(rows);
    const size_t first = i * states_per_block;
    const auto layer = static_cast<int64_t>(i);
    trace.kept.push_back(blocks_[i]->forward(
        context_, {.batch = trace.batch,
                   .length = trace.length,
                   .residual_in = trace.residual.back(),
                   .residual_out = next,
                   .initial = block_views(pass.initial, first, states_per_block),
                   .final_state = block_views(pass.final_state, first, states_per_block),
                   .entering = block_views(&trace.entering, first, states_per_block),
                   .log_decay = pass.log_decays.empty() ? TensorView{} : pass.log_decays[i],
                   .parallel = pass.parallel,
                   .keep = retention.keeps_activations(layer)}));
    if (!retention.keeps_input(layer)) trace.residual.back() = Tensor();
    trace.residual.push_back(std::move(next));
  }
}

Tensor LanguageModel::final_norm(const Trace& trace, Tensor& rstd) {
  const int64_t rows = trace.batch * trace.length;
  Tensor hidden(context_, dtype_, {rows, config_.width});
  rstd = Tensor(context_, core::state_dtype(dtype_), {rows});
  kernels::rms_norm_forward(
      context_, {.x = {},
                 .residual = trace.residual.back(),
                 .weight = parameters_->operand(*parameters_->find("backbone.norm_f.weight")),
                 .epsilon = config_.norm_epsilon,
                 .y = hidden,
                 .rstd = rstd});
  return hidden;
}

kernels::LossSum LanguageModel::forward(const ForwardPass& pass) {
  Trace trace;
  run_blocks(pass, {.layers = config_.layers, .together = 0}, trace);
  Tensor rstd;
  const Tensor hidden = final_norm(trace, rstd);
  const int64_t rows = trace.batch * trace.length;
  if (pass.logits) {
    kernels::linear_forward(context_, {.x = hidden,
                                       .weight = head_weight(),
                                       .bias = {},
                                       .y = pass.logits.reshape({rows, config_.vocabulary})});
  }
  if (pass.last_logits) {
    const TensorView last = hidden.view().unflatten_first(trace.batch, trace.length);
    kernels::linear_forward(context_, {.x = last.select(1, trace.length - 1),
                                       .weight = head_weight(),
                                       .bias = {},
                                       .y = pass.last_logits});
  }
  if (!pass.labels) return {};
  return kernels::linear_cross_entropy(
      context_, {.hidden = hidden,
                 .weight = head_weight(),
                 .labels = pass.labels.reshape({rows}),
                 .loss = pass.loss ? pass.loss.reshape({rows}) : TensorView{},
                 .predicted = pass.predicted ? pass.predicted.reshape({rows}) : TensorView{},
                 .dhidden = {},
                 .dweight = {}});
}

kernels::LossSum LanguageModel::forward_backward(const TrainStep& step) {
  Trace trace;
  run_blocks({.tokens = step.tokens,
              .initial = step.initial,
              .final_state = step.final_state,
              .parallel = step.parallel,
              .tokens_checked = step.deferred != nullptr},
             retention_of(config_, context_.device().kind, dtype_, step.recompute), trace);
  const Tensor dresidual = Tensor::zeros(context_, dtype_, trace.residual.back().shape());
  const kernels::LossSum loss = backward_of_head(step, trace, dresidual);

  const Parameter& head_begin = *parameters_->find("backbone.norm_f.weight");
  announce(step, head_begin.begin, parameters_->values().elements());
  for (size_t i = blocks_.size(); i-- > 0;) backward_of_block(step, i, trace, dresidual);

  const Parameter& embedding = *parameters_->find("backbone.embeddings.weight");
  if (step.overwrite_gradients) {
    parameters_->clear_gradients(0, blocks_.front()->parameters_begin(),
                                 {config_.tied ? &embedding : nullptr});
  }
  kernels::embedding_backward(context_,
                              {.tokens = step.tokens.reshape({trace.batch * trace.length}),
                               .dy = dresidual,
                               .dweight = parameters_->gradient(embedding),
                               .tokens_checked = step.deferred != nullptr});
  announce(step, 0, blocks_.front()->parameters_begin());
  return loss;
}

void LanguageModel::announce(const TrainStep& step, int64_t begin, int64_t end) {
  if (step.gradients_ready) step.gradients_ready(begin, end);
}

kernels::LossSum LanguageModel::backward_of_head(const TrainStep& step, Trace& trace,
                                                 const TensorView& dresidual) {
  Tensor rstd;
  const Tensor hidden = final_norm(trace, rstd);
  Tensor dhidden(context_, dtype_, hidden.shape());
  const Parameter& head =
      *parameters_->find(config_.tied ? "backbone.embeddings.weight" : "lm_head.weight");
  const Parameter& norm = *parameters_->find("backbone.norm_f.weight");
  if (step.overwrite_gradients) {
    parameters_->clear_gradients(norm.begin, parameters_->values().elements(),
                                 {config_.tied ? nullptr : &head});
  }
  const kernels::LossSum loss = kernels::linear_cross_entropy(
      context_, {.hidden = hidden,
                 .weight = head_weight(),
                 .labels = step.labels.reshape({trace.batch * trace.length}),
                 .scale = step.scale,
                 .loss = {},
                 .predicted = {},
                 .dhidden = dhidden,
                 .dweight = parameters_->gradient(head),
                 .overwrite_dweight = step.overwrite_gradients,
                 .deferred = step.deferred});
  kernels::rms_norm_backward(context_, {.residual = trace.residual.back(),
                                        .weight = parameters_->operand(norm),
                                        .rstd = rstd,
                                        .dy = dhidden,
                                        .dresidual = dresidual,
                                        .dweight = parameters_->gradient(norm)});
  trace.residual.pop_back();
  return loss;
}

/// Blocks up to `last`, whose activations were not kept. Each runs its segment on its own, from the
/// states that entered it: no message is sent twice.
void LanguageModel::run_again(const TrainStep& step, int64_t last, Trace& trace) {
  const size_t count = state_specs_.size() / blocks_.size(), end = static_cast<size_t>(last);
  const RecurrentState* started_from = step.parallel ? &trace.entering : step.initial;
  for (size_t i = static_cast<size_t>(trace.retention.begin_of(last)); i <= end; ++i) {
    Tensor output = residual_stream(trace.batch * trace.length);
    trace.kept[i] =
        blocks_[i]->forward(context_, {.batch = trace.batch,
                                       .length = trace.length,
                                       .residual_in = trace.residual[i],
                                       .residual_out = output,
                                       .initial = block_views(started_from, i * count, count),
                                       .keep = true,
                                       .keep_map = step.parallel != nullptr});
    if (i < end) trace.residual[i + 1] = std::move(output);
  }
}

void LanguageModel::backward_of_block(const TrainStep& step, size_t index, Trace& trace,
                                      const TensorView& dresidual) {
  Block& block = *blocks_[index];
  const size_t count = state_specs_.size() / blocks_.size(), first = index * count;
  const RecurrentState* started_from = step.parallel ? &trace.entering : step.initial;
  // Only the last segment ends where the sequence does.
  const bool ends_here = step.parallel == nullptr || step.parallel->is_last();
  if (trace.kept[index] == nullptr) run_again(step, static_cast<int64_t>(index), trace);
  block.backward(context_,
                 {.batch = trace.batch,
                  .length = trace.length,
                  .residual_in = trace.residual.back(),
                  .dresidual = dresidual,
                  .entering = block_views(started_from, first, count),
                  .dfinal = block_views(ends_here ? step.dfinal : nullptr, first, count),
                  .dinitial = block_views(step.dinitial, first, count),
                  .parallel = step.parallel,
                  .overwrite_gradients = step.overwrite_gradients},
                 *trace.kept[index]);
  trace.kept[index].reset();
  trace.residual.pop_back();
  announce(step, block.parameters_begin(), block.parameters_end());
}

double LanguageModel::flops_per_token() const {
  double flops = 2.0 * static_cast<double>(config_.width * config_.vocabulary);
  for (const auto& block : blocks_) flops += block->flops_per_token();
  return flops;
}

}  // namespace longhaul::model
