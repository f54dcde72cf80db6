// Small models with random weights and states, and one training step of them, for the tests of
// model/.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dist/mesh.h"
#include "kernels/core/random.h"
#include "model/init.h"
#include "model/language_model.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {

inline model::ModelConfig tiny_config() {
  model::ModelConfig config;
  config.vocabulary = 11;
  config.width = 6;
  config.layers = 2;
  config.heads = 4;
  config.head_dim = 3;
  config.state_dim = 5;
  config.groups = 2;
  config.conv_width = 4;
  config.chunk = 4;
  return config;
}

inline model::ModelConfig tiny_mamba1() {
  model::ModelConfig config = tiny_config();
  config.architecture = model::Architecture::kMamba1;
  config.heads = 13;
  config.head_dim = config.groups = 1;
  config.dt_rank = 3;
  return config;
}

/// The tiny model of each architecture, and its name for parameterised tests.
inline model::ModelConfig tiny_of(model::Architecture architecture) {
  return architecture == model::Architecture::kMamba1 ? tiny_mamba1() : tiny_config();
}
inline std::string architecture_name(model::Architecture architecture) {
  return std::string(enum_names(architecture)[static_cast<size_t>(architecture)]);
}

/// initialize() plus noise on every parameter, so that none of them sits at a special value (D = 1,
/// bias = 0).
inline void randomize(model::LanguageModel& model, uint64_t seed) {
  model::initialize(model, seed);
  uint64_t stream = seed * 1000;
  for (const model::Parameter& parameter : model.parameters().list()) {
    const core::TensorView view = model.parameters().value(parameter);
    std::vector<double> values = values_of(view);
    const double scale = parameter.name.ends_with("embeddings.weight") ? 0.5 : 0.2;
    const std::vector<double> noise = random_values(view.elements(), ++stream, scale);
    for (size_t i = 0; i < values.size(); ++i) values[i] += noise[i];
    assign(view, values);
  }
  model.parameters().update_rounded();
}

inline model::RecurrentState random_state(const model::LanguageModel& model, int64_t batch,
                                          uint64_t seed) {
  model::RecurrentState state = model.make_state(batch);
  for (size_t i = 0; i < state.size(); ++i) {
    assign(state[i], random_values(state[i].elements(), seed * 100 + i, 0.7));
  }
  return state;
}

/// Tokens and shifted labels; every seventh label is −1.
struct TokenBatch {
  int64_t batch = 0, length = 0;
  std::vector<int32_t> tokens, labels;

  TokenBatch(int64_t batch, int64_t length, int64_t vocabulary, uint64_t seed)
      : batch(batch), length(length) {
    core::RandomStream random({seed, 0, core::RandomPurpose::kTest});
    for (int64_t i = 0; i < batch * length; ++i) {
      tokens.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(vocabulary))));
      labels.push_back(
          i % 7 == 6 ? -1 : static_cast<int32_t>(random.below(static_cast<uint64_t>(vocabulary))));
    }
  }
  /// Columns [segment.begin, segment.end) of every row.
  TokenBatch segment(const dist::Segment& segment) const {
    TokenBatch part = *this;
    part.length = segment.length();
    part.tokens.clear();
    part.labels.clear();
    for (int64_t row = 0; row < batch; ++row) {
      for (int64_t i = segment.begin; i < segment.end; ++i) {
        part.tokens.push_back(tokens[static_cast<size_t>(row * length + i)]);
        part.labels.push_back(labels[static_cast<size_t>(row * length + i)]);
      }
    }
    return part;
  }
  core::TensorView token_view() { return {tokens.data(), core::DType::kI32, {batch, length}}; }
  core::TensorView label_view() { return {labels.data(), core::DType::kI32, {batch, length}}; }
};

inline std::map<std::string, std::vector<double>> gradients_of(const model::LanguageModel& model) {
  std::map<std::string, std::vector<double>> all;
  for (const model::Parameter& parameter : model.parameters().list()) {
    all[parameter.name] = values_of(model.parameters().gradient(parameter));
  }
  return all;
}

inline std::map<std::string, std::vector<double>> values_of_state(
    const model::LanguageModel& model, const model::RecurrentState& state) {
  std::map<std::string, std::vector<double>> all;
  for (size_t i = 0; i < state.size(); ++i) all[model.state_specs()[i].name] = values_of(state[i]);
  return all;
}

}  // namespace longhaul::testing
