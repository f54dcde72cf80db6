#include "trainer/recorded_pass.h"

#include <glog/logging.h>

#include <utility>

#include "kernels/core/error.h"

namespace longhaul::trainer {

namespace {

/// The ops would wait for the device to look themselves.
void check_range(const core::TensorView& values, int32_t least, int64_t vocabulary,
                 const char* what) {
  for (int64_t row = 0; row < values.extent(0); ++row) {
    const core::TensorView own = values.select(0, row);
    for (int64_t i = 0; i < own.extent(0); ++i) {
      const int32_t value = own.data<int32_t>()[i];
      if (value < least || value >= vocabulary) {
        throw core::Error(core::message(what, " ", value, " in row ", row, ", column ", i,
                                        " is outside the vocabulary [0, ", vocabulary, ")"));
      }
    }
  }
}

}  // namespace

RecordedPass::RecordedPass(model::LanguageModel& model, int64_t rows, int64_t length)
    : model_(model),
      tokens_(model.context(), core::DType::kI32, {rows, length}),
      labels_(model.context(), core::DType::kI32, {rows, length}),
      scale_(model.context(), core::DType::kF64, {1}),
      losses_(model.context(), core::DType::kF64, {rows * length}),
      deferred_{.scale = scale_, .losses = losses_} {}

RecordedPass::Fixed RecordedPass::fixed_in(const model::TrainStep& step) {
  Fixed fixed{.addresses = {}, .overwrite_gradients = step.overwrite_gradients};
  for (const model::RecurrentState* state :
       {step.initial, static_cast<const model::RecurrentState*>(step.final_state)}) {
    if (state == nullptr) continue;
    for (size_t i = 0; i < state->size(); ++i) fixed.addresses.push_back((*state)[i].view().raw());
  }
  return fixed;
}

double RecordedPass::run(const core::TensorView& tokens, const core::TensorView& labels,
                         model::TrainStep step) {
  const int64_t vocabulary = model_.config().vocabulary;
  check_range(tokens, 0, vocabulary, "token");
  check_range(labels, -1, vocabulary, "label");
  core::Context& context = model_.context();
  core::copy(context, tokens, tokens_);
  core::copy(context, labels, labels_);
  core::copy(context, core::TensorView(&step.scale, core::DType::kF64, {1}), scale_);
  step.tokens = tokens_;
  step.labels = labels_;
  step.deferred = &deferred_;
  const auto gradients_ready = std::exchange(step.gradients_ready, nullptr);
  forward_backward(step);
  if (gradients_ready) gradients_ready(0, model_.parameters().values().elements());
  return sum_of_losses();
}

void RecordedPass::forward_backward(const model::TrainStep& step) {
  core::Context& context = model_.context();
  Fixed fixed = fixed_in(step);
  const int64_t releases = context.pool().system_releases();
  const bool is_known = fixed == fixed_ && releases == system_releases_;
  if (!is_known || given_up_) {
    graph_ = {};
    fixed_ = std::move(fixed);
    system_releases_ = releases;
    model_.forward_backward(step);
    return;
  }
  if (!graph_) {
    try {
      graph_ = core::CudaGraph::record(context, [&] { model_.forward_backward(step); });
    } catch (const core::Error& error) {
      LOG(WARNING) << "parallel.cuda_graphs: passes run one kernel at a time: " << error.what();
      given_up_ = true;
      model_.forward_backward(step);
      return;
    }
  }
  graph_.launch(context);
}

// In the order of rows, as linear_cross_entropy adds them.
double RecordedPass::sum_of_losses() {
  std::vector<double> losses(static_cast<size_t>(losses_.elements()));
  core::copy(model_.context(), losses_,
             core::TensorView(losses.data(), core::DType::kF64, losses_.shape()));
  double sum = 0;
  for (const double loss : losses) sum += loss;
  return sum;
}

}  // namespace longhaul::trainer
