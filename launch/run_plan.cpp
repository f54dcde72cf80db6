#include "launch/run_plan.h"

#include <array>
#include <cstdio>
#include <sstream>

#include "kernels/core/error.h"
#include "launch/command_options.h"
#include "launch/run_rules.h"
#include "model/checkpoint/model_folder.h"
#include "model/parameter_list.h"

namespace longhaul::launch {

using core::message;

namespace {

std::string size_text(int64_t bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text.data();
}

/// Elements of what forward keeps for backward of one block and token: its input and norm, the
/// projection and the convolution's output, output of the recurrence and of the gate, MLP.
int64_t kept_per_token(const model::ModelConfig& shape) {
  return 2 * shape.width + shape.in_projection() + shape.conv_channels() + 2 * shape.inner() +
         (shape.mlp_width > 0 ? 2 * shape.width + 3 * shape.mlp_width : 0);
}

int64_t ssm_elements(const model::ModelConfig& shape) { return shape.inner() * shape.state_dim; }
int64_t halo_elements(const model::ModelConfig& shape) {
  return (shape.conv_width - 1) * shape.conv_channels();
}

int64_t activation_elements(const RunConfig& config, const model::ModelConfig& shape,
                            int64_t rows) {
  const auto& batch = config.data.batch;
  const int64_t length =
      (batch.length / batch.segments + config.parallel.sequence - 1) / config.parallel.sequence;
  const int64_t chunks = (length + shape.chunk - 1) / shape.chunk;
  const int64_t block = rows * (length * kept_per_token(shape) + chunks * ssm_elements(shape));
  const int64_t stream = rows * length * shape.width;
  // Backward works on one block at a time, with about as much again as that block keeps.
  return batch.recompute ? shape.layers * stream + 3 * block
                         : shape.layers * block + 2 * block + 2 * stream;
}

}  // namespace

RunConfig resolve(const RunConfig& config, int64_t ranks, int64_t data_vocabulary,
                  model::ModelConfig& shape) {
  RunConfig resolved = config;
  resolved.parallel.data = data_ranks(config, ranks);
  if (resolved.evaluation.length == 0) resolved.evaluation.length = 8 * config.data.batch.length;
  const bool loaded = !config.model.from.empty();
  if (loaded) {
    shape = model::read_model_config(config.model.from);
  } else {
    if (resolved.model.shape.vocabulary == 0) resolved.model.shape.vocabulary = data_vocabulary;
    shape = resolved.model.shape;
  }
  if (shape.vocabulary < data_vocabulary) {
    throw core::InputError(message(loaded ? "model.from" : "model.shape.vocabulary",
                                   ": has a vocabulary of ", shape.vocabulary, ", the data needs ",
                                   data_vocabulary));
  }
  return resolved;
}

RunPlan plan_run(const RunConfig& config, const model::ModelConfig& shape, int64_t ranks) {
  const auto& batch = config.data.batch;
  const int64_t sequence = config.parallel.sequence;
  const int64_t element = core::size_of(element_type(config.run.dtype));
  RunPlan plan;
  plan.mesh = {.data = static_cast<int>(config.parallel.data),
               .sequence = static_cast<int>(sequence)};
  plan.rows = batch.sequences / batch.accumulation / config.parallel.data;
  for (const auto& parameter : model::mamba2_parameters(shape)) {
    plan.parameters += parameter.shape.elements();
  }
  plan.tokens = config.schedule.steps * batch.sequences * batch.length;
  const int64_t state = ssm_elements(shape) + halo_elements(shape);
  plan.state_bytes = shape.layers * state * element;
  plan.weight_bytes = 4 * plan.parameters * element;
  plan.activation_bytes = activation_elements(config, shape, plan.rows) * element;
  const auto source = config.initial_state.source;
  const bool keeps =
      source == trainer::SourceKind::kStatePassing || source == trainer::SourceKind::kTbtt;
  plan.source_bytes = (keeps ? batch.accumulation : 1) * plan.rows * plan.state_bytes;
  plan.gradient_traffic = 2 * plan.parameters * element * (ranks - 1) / ranks;
  if (sequence > 1) {
    const int directions = config.parallel.gradient == GradientMode::kFull ? 2 : 1;
    plan.exchange_traffic =
        batch.accumulation * batch.segments * directions * plan.rows * plan.state_bytes;
  }
  return plan;
}

std::string describe(const RunPlan& plan, const RunConfig& config) {
  const auto& batch = config.data.batch;
  std::ostringstream out;
  out << "mesh           " << plan.mesh.data << " data × " << plan.mesh.sequence
      << " sequence ranks\n"
      << "batch          " << batch.sequences << " sequences × " << batch.length << " tokens; "
      << plan.rows << " a micro-step on a rank, " << batch.accumulation << " micro-steps\n"
      << "run            " << config.schedule.steps << " steps, " << plan.tokens << " tokens\n"
      << "parameters     " << plan.parameters << "\n"
      << "state          " << size_text(plan.state_bytes) << " a sequence\n"
      << "memory a rank  about "
      << size_text(plan.weight_bytes + plan.activation_bytes + plan.source_bytes) << " (weights "
      << size_text(plan.weight_bytes) << ", activations " << size_text(plan.activation_bytes)
      << ", initial states " << size_text(plan.source_bytes) << ")\n"
      << "sent a step    gradients " << size_text(plan.gradient_traffic) << ", states "
      << size_text(plan.exchange_traffic) << " by each rank (to each other rank of its group "
      << "with all_gather)\n";
  return out.str();
}

}  // namespace longhaul::launch
