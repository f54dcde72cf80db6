// The whole model: gradients against finite differences, parallel form against token by token,
// segments against the whole sequence.
#include "model/language_model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/model/tiny_model.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"
#include "tests/support/reference_model.h"

namespace longhaul {
namespace {

using core::Context;
using core::DType;
using core::Tensor;
using model::LanguageModel;
using model::ModelConfig;
using model::RecurrentState;
using testing::TokenBatch;
using testing::Values;

struct Case {
  std::string name;
  ModelConfig config;
  int64_t batch = 2, length = 11;
  bool recompute = false;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

std::vector<Case> cases() {
  const ModelConfig base = testing::tiny_config();
  std::vector<Case> all{{.name = "grouped_tied", .config = base}};
  all.push_back({.name = "mlp_untied_bias", .config = base});
  all.back().config.mlp_width = 7;
  all.back().config.tied = false;
  all.back().config.linear_bias = true;
  all.push_back({.name = "recomputed", .config = base, .recompute = true});
  all.push_back({.name = "narrow_conv_no_bias", .config = base});
  all.back().config.conv_width = 2;
  all.back().config.conv_bias = false;
  all.back().config.groups = 1;
  all.push_back({.name = "one_tap_clamped", .config = base});
  all.back().config.conv_width = 1;
  all.back().config.dt_low = 0.02;
  all.back().config.dt_high = 0.6;
  all.push_back({.name = "one_token", .config = base, .batch = 3, .length = 1});
  all.push_back({.name = "shorter_than_conv", .config = base, .length = 2});
  all.push_back({.name = "one_chunk_exactly", .config = base, .batch = 1, .length = 4});
  const ModelConfig mamba1 = testing::tiny_mamba1();
  all.push_back({.name = "mamba1", .config = mamba1});
  all.push_back({.name = "mamba1_untied_bias_recomputed", .config = mamba1, .recompute = true});
  all.back().config.tied = false;
  all.back().config.linear_bias = true;
  all.push_back({.name = "mamba1_no_conv_bias_rank_by_width", .config = mamba1, .batch = 3});
  all.back().config.conv_bias = false;
  all.back().config.dt_rank = 0;
  all.back().length = 2;
  all.push_back({.name = "mamba1_two_chunks", .config = mamba1, .batch = 1, .length = 67});
  return all;
}

class ModelGradient : public ::testing::TestWithParam<Case> {};

TEST_P(ModelGradient, EqualsFiniteDifferences) {
  const Case& c = GetParam();
  Context context({}, 1);
  LanguageModel model(context, c.config, DType::kF64);
  testing::randomize(model, 3);
  TokenBatch tokens(c.batch, c.length, c.config.vocabulary, 5);
  const double scale = 0.37;

  Values inputs = {};
  for (const auto& p : model.parameters().list())
    inputs[p.name] = testing::values_of(model.parameters().value(p));
  const RecurrentState start = testing::random_state(model, c.batch, 7);
  for (const auto& [name, values] : testing::values_of_state(model, start))
    inputs["initial." + name] = values;

  auto set_inputs = [&](const Values& in, RecurrentState& initial) {
    for (const auto& p : model.parameters().list())
      testing::assign(model.parameters().value(p), in.at(p.name));
    for (size_t i = 0; i < initial.size(); ++i) {
      testing::assign(initial[i], in.at("initial." + model.state_specs()[i].name));
    }
  };
  const testing::GradientCheck check{
      .inputs = inputs,
      .forward =
          [&](const Values& in) {
            RecurrentState initial = model.make_state(c.batch),
                           final_state = model.make_state(c.batch);
            set_inputs(in, initial);
            const auto loss = model.forward({.tokens = tokens.token_view(),
                                             .labels = tokens.label_view(),
                                             .initial = &initial,
                                             .final_state = &final_state});
            Values out = testing::values_of_state(model, final_state);
            out["loss"] = {scale * loss.sum};
            return out;
          },
      .backward =
          [&](const Values& in, const Values& upstream) {
            RecurrentState initial = model.make_state(c.batch), dfinal = model.make_state(c.batch),
                           dinitial = model.make_state(c.batch);
            set_inputs(in, initial);
            for (size_t i = 0; i < dfinal.size(); ++i) {
              testing::assign(dfinal[i], upstream.at(model.state_specs()[i].name));
            }
            core::set_zero(context, model.parameters().gradients());
            model.forward_backward({.tokens = tokens.token_view(),
                                    .labels = tokens.label_view(),
                                    .initial = &initial,
                                    .scale = scale * upstream.at("loss")[0],
                                    .dfinal = &dfinal,
                                    .dinitial = &dinitial,
                                    .recompute = c.recompute});
            Values out = testing::gradients_of(model);
            for (const auto& [name, values] : testing::values_of_state(model, dinitial)) {
              out["initial." + name] = values;
            }
            return out;
          }};
  EXPECT_TRUE(testing::check_gradients(check));
}

INSTANTIATE_TEST_SUITE_P(Shapes, ModelGradient, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

// Against plain loops that share no code with the model, batch row by batch row.
TEST_P(ModelGradient, LogitsLossAndStatesEqualThePlainRecurrence) {
  const Case& c = GetParam();
  Context context({}, 1);
  LanguageModel model(context, c.config, DType::kF64);
  testing::randomize(model, 43);
  const int64_t vocabulary = c.config.vocabulary;
  TokenBatch tokens(c.batch, c.length, vocabulary, 5);
  const RecurrentState initial = testing::random_state(model, c.batch, 7);
  RecurrentState end = model.make_state(c.batch);
  Tensor logits(context, DType::kF64, {c.batch, c.length, vocabulary});
  model.forward(
      {.tokens = tokens.token_view(), .initial = &initial, .final_state = &end, .logits = logits});

  testing::NamedValues parameters;
  for (const auto& p : model.parameters().list()) {
    parameters[p.name] = testing::values_of(model.parameters().value(p));
  }
  for (int64_t row = 0; row < c.batch; ++row) {
    testing::NamedValues state;
    for (size_t i = 0; i < initial.size(); ++i) {
      state[model.state_specs()[i].name] = testing::values_of(initial[i].view().select(0, row));
    }
    const auto first = tokens.tokens.begin() + row * c.length;
    const std::vector<double> expected = testing::reference_logits(
        c.config, parameters, std::vector<int32_t>(first, first + c.length), state);
    EXPECT_TRUE(testing::close(logits.view().select(0, row), expected, 1e-11)) << "row " << row;
    for (size_t i = 0; i < end.size(); ++i) {
      const std::string& name = model.state_specs()[i].name;
      EXPECT_TRUE(testing::close(end[i].view().select(0, row), state.at(name), 1e-11)) << name;
    }
  }
}

/// What holds of a model whatever its recurrence.
class EveryArchitecture : public ::testing::TestWithParam<model::Architecture> {
 protected:
  ModelConfig tiny() const { return testing::tiny_of(GetParam()); }
  /// Large enough for vectors and for more than one thread.
  ModelConfig small() const {
    ModelConfig config = tiny();
    config.width = 48, config.state_dim = 16, config.chunk = 16;
    config.heads = config.is_mamba1() ? 96 : 4, config.head_dim = config.is_mamba1() ? 1 : 16;
    return config;
  }
};

INSTANTIATE_TEST_SUITE_P(Kinds, EveryArchitecture,
                         ::testing::Values(model::Architecture::kMamba2,
                                           model::Architecture::kMamba1),
                         [](const auto& info) { return testing::architecture_name(info.param); });

TEST_P(EveryArchitecture, TokenByTokenEqualsParallelForm) {
  Context context({}, 1);
  LanguageModel model(context, tiny(), DType::kF64);
  testing::randomize(model, 11);
  const int64_t batch = 2, length = 13, vocabulary = model.config().vocabulary;
  TokenBatch tokens(batch, length, vocabulary, 1);
  const RecurrentState initial = testing::random_state(model, batch, 2);
  RecurrentState whole_end = model.make_state(batch);
  Tensor whole(context, DType::kF64, {batch, length, vocabulary});
  model.forward({.tokens = tokens.token_view(),
                 .initial = &initial,
                 .final_state = &whole_end,
                 .logits = whole});

  RecurrentState state = initial.clone(context);
  Tensor one(context, DType::kF64, {batch, vocabulary});
  for (int64_t t = 0; t < length; ++t) {
    TokenBatch next = tokens.segment({t, t + 1});
    RecurrentState after = model.make_state(batch);
    model.forward({.tokens = next.token_view(),
                   .initial = &state,
                   .final_state = &after,
                   .last_logits = one});
    state = std::move(after);
    EXPECT_TRUE(testing::close(one, testing::values_of(whole.view().select(1, t)), 1e-12))
        << "token " << t;
  }
  for (size_t i = 0; i < state.size(); ++i) {
    EXPECT_TRUE(testing::close(state[i], testing::values_of(whole_end[i]), 1e-12))
        << model.state_specs()[i].name;
  }
}

// Any cut: state and its gradient carried across equal the whole sequence.
TEST_P(EveryArchitecture, TwoSegmentsWithCarriedStateEqualTheWhole) {
  Context context({}, 1);
  LanguageModel model(context, tiny(), DType::kF64);
  testing::randomize(model, 13);
  const int64_t batch = 2, length = 14;
  TokenBatch tokens(batch, length, model.config().vocabulary, 3);
  const RecurrentState initial = testing::random_state(model, batch, 4);
  const RecurrentState dfinal = testing::random_state(model, batch, 5);
  RecurrentState whole_end = model.make_state(batch), whole_dinitial = model.make_state(batch);
  const auto whole_loss = model.forward_backward({.tokens = tokens.token_view(),
                                                  .labels = tokens.label_view(),
                                                  .initial = &initial,
                                                  .final_state = &whole_end,
                                                  .dfinal = &dfinal,
                                                  .dinitial = &whole_dinitial});
  const auto whole = testing::gradients_of(model);

  for (const int64_t cut : {1, 2, 4, 7, 13}) {
    core::set_zero(context, model.parameters().gradients());
    TokenBatch first = tokens.segment({0, cut}), second = tokens.segment({cut, length});
    RecurrentState middle = model.make_state(batch), end = model.make_state(batch);
    RecurrentState dmiddle = model.make_state(batch), dinitial = model.make_state(batch);
    model.forward({.tokens = first.token_view(), .initial = &initial, .final_state = &middle});
    const auto loss2 = model.forward_backward({.tokens = second.token_view(),
                                               .labels = second.label_view(),
                                               .initial = &middle,
                                               .final_state = &end,
                                               .dfinal = &dfinal,
                                               .dinitial = &dmiddle});
    const auto loss1 = model.forward_backward({.tokens = first.token_view(),
                                               .labels = first.label_view(),
                                               .initial = &initial,
                                               .dfinal = &dmiddle,
                                               .dinitial = &dinitial});
    EXPECT_NEAR(loss1.sum + loss2.sum, whole_loss.sum, 1e-12 * whole_loss.sum);
    EXPECT_EQ(loss1.count + loss2.count, whole_loss.count);
    for (const auto& [name, gradient] : testing::gradients_of(model)) {
      EXPECT_TRUE(testing::close(gradient, whole.at(name), 1e-11)) << name << ", cut " << cut;
    }
    for (size_t i = 0; i < end.size(); ++i) {
      EXPECT_TRUE(testing::close(end[i], testing::values_of(whole_end[i]), 1e-12));
      EXPECT_TRUE(testing::close(dinitial[i], testing::values_of(whole_dinitial[i]), 1e-11));
    }
  }
}

TEST_P(EveryArchitecture, GradientsAreAnnouncedOnceFromTheEndAndFinal) {
  Context context({}, 1);
  ModelConfig config = tiny();
  config.tied = false;
  LanguageModel model(context, config, DType::kF64);
  testing::randomize(model, 17);
  TokenBatch tokens(2, 9, config.vocabulary, 3);
  std::vector<double> seen(static_cast<size_t>(model.parameters().gradients().elements()), 0);
  std::vector<int> times(seen.size(), 0);
  model.forward_backward({.tokens = tokens.token_view(),
                          .labels = tokens.label_view(),
                          .gradients_ready = [&](int64_t begin, int64_t end) {
                            const double* now = model.parameters().gradients().data<double>();
                            for (int64_t i = begin; i < end; ++i) {
                              seen[static_cast<size_t>(i)] = now[i];
                              ++times[static_cast<size_t>(i)];
                            }
                          }});
  EXPECT_EQ(seen, testing::values_of(model.parameters().gradients()));
  for (const int count : times) EXPECT_EQ(count, 1);
}

/// Whatever was there, the gaps between parameters included.
TEST_P(ModelGradient, OverwrittenGradientsAreThoseAddedToZeros) {
  const Case& c = GetParam();
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    Context context({}, 2);
    LanguageModel model(context, c.config, dtype);
    testing::randomize(model, 3);
    TokenBatch tokens(c.batch, c.length, c.config.vocabulary, 5);
    model::TrainStep step{
        .tokens = tokens.token_view(), .labels = tokens.label_view(), .recompute = c.recompute};
    model.forward_backward(step);
    const core::TensorView gradients = model.parameters().gradients();
    const auto added = testing::values_of(gradients);
    testing::assign(gradients, std::vector<double>(added.size(), NAN));
    step.overwrite_gradients = true;
    model.forward_backward(step);
    EXPECT_EQ(testing::values_of(gradients), added);
  }
}

TEST_P(EveryArchitecture, SinglePrecisionFollowsDouble) {
  Context context({}, 2);
  ModelConfig config = small();
  config.state_dim = 24;
  LanguageModel exact(context, config, DType::kF64), model(context, config, DType::kF32);
  testing::randomize(exact, 19);
  testing::assign(model.parameters().values(), testing::values_of(exact.parameters().values()));
  TokenBatch tokens(3, 50, config.vocabulary, 3);
  const auto expected =
      exact.forward_backward({.tokens = tokens.token_view(), .labels = tokens.label_view()});
  const auto found =
      model.forward_backward({.tokens = tokens.token_view(), .labels = tokens.label_view()});
  EXPECT_NEAR(found.sum, expected.sum, 2e-5 * expected.sum);
  const auto gradients = testing::gradients_of(exact);
  for (const auto& [name, gradient] : testing::gradients_of(model)) {
    EXPECT_TRUE(testing::close(gradient, gradients.at(name), 2e-4)) << name;
  }
}

TEST_P(EveryArchitecture, ResultsDoNotDependOnThreads) {
  const ModelConfig config = small();
  std::vector<std::vector<double>> gradients;
  for (const int threads : {1, 2, 3}) {
    Context context({}, threads);
    LanguageModel model(context, config);
    testing::randomize(model, 23);
    TokenBatch tokens(4, 70, config.vocabulary, 3);
    model.forward_backward({.tokens = tokens.token_view(), .labels = tokens.label_view()});
    gradients.push_back(testing::values_of(model.parameters().gradients()));
  }
  EXPECT_EQ(gradients[0], gradients[1]);
  EXPECT_EQ(gradients[0], gradients[2]);
}

}  // namespace
}  // namespace longhaul
