// A sequence sharded over ranks gives the loss and every gradient of one rank, whatever the
// exchange, the cut and the mode of the gradient.
#include <gtest/gtest.h>

#include <mutex>

#include "dist/state_exchange.h"
#include "dist/thread_communicator.h"
#include "tests/model/tiny_model.h"
#include "tests/support/compare.h"

namespace longhaul {
namespace {

using core::Context;
using core::DType;
using dist::ExchangeAlgorithm;
using model::LanguageModel;
using model::RecurrentState;
using testing::TokenBatch;

using Named = std::map<std::string, std::vector<double>>;

struct Outcome {
  double loss = 0;
  Named gradients, final_state, dinitial;
};

void add_to(Named& sum, const Named& part) {
  for (const auto& [name, values] : part) {
    auto& total = sum[name];
    total.resize(values.size(), 0);
    for (size_t i = 0; i < values.size(); ++i) total[i] += values[i];
  }
}

constexpr int64_t kBatch = 2;
constexpr double kScale = 0.11;

using model::Architecture;

/// In fp64 so deep that several blocks are run again together (model/retention.h); what is rounded
/// in fp32 grows with depth.
model::ModelConfig config_for(DType dtype, Architecture architecture) {
  model::ModelConfig config = testing::tiny_of(architecture);
  if (dtype == DType::kF64) config.width = 100, config.layers = 9;
  return config;
}

/// One step on the calling rank's segment; states and their gradients given whole.
Outcome run_segment(LanguageModel& model, TokenBatch tokens, const RecurrentState* initial,
                    const RecurrentState* dfinal, const model::SequenceParallel* parallel,
                    bool recompute) {
  RecurrentState final_state = model.make_state(kBatch), dinitial = model.make_state(kBatch);
  core::set_zero(model.context(), model.parameters().gradients());
  const auto loss = model.forward_backward({.tokens = tokens.token_view(),
                                            .labels = tokens.label_view(),
                                            .initial = initial,
                                            .scale = kScale,
                                            .final_state = &final_state,
                                            .dfinal = dfinal,
                                            .dinitial = &dinitial,
                                            .parallel = parallel,
                                            .recompute = recompute});
  return {loss.sum, testing::gradients_of(model), testing::values_of_state(model, final_state),
          testing::values_of_state(model, dinitial)};
}

Outcome on_ranks(int ranks, const std::vector<int64_t>& lengths, ExchangeAlgorithm algorithm,
                 bool full, bool recompute, DType dtype,
                 Architecture architecture = Architecture::kMamba2) {
  std::vector<Outcome> outcomes(static_cast<size_t>(ranks));
  dist::run_thread_ranks(ranks, [&](dist::Communicator& group) {
    Context context({}, 1);
    LanguageModel model(context, config_for(dtype, architecture), dtype);
    testing::randomize(model, 29);
    int64_t total = 0, begin = 0;
    for (int r = 0; r < ranks; ++r) {
      if (r < group.rank()) begin += lengths[static_cast<size_t>(r)];
      total += lengths[static_cast<size_t>(r)];
    }
    const TokenBatch tokens(kBatch, total, model.config().vocabulary, 31);
    const RecurrentState initial = testing::random_state(model, kBatch, 37);
    const RecurrentState dfinal = testing::random_state(model, kBatch, 41);
    dist::StateExchange states(context, group, algorithm, 1000);
    dist::HaloExchange halo(context, group, lengths);
    const model::SequenceParallel parallel{&states, &halo, full};
    const int64_t own = lengths[static_cast<size_t>(group.rank())];
    outcomes[static_cast<size_t>(group.rank())] = run_segment(
        model, tokens.segment({begin, begin + own}), &initial, &dfinal, &parallel, recompute);
  });
  Outcome sum;
  for (const Outcome& part : outcomes) {
    sum.loss += part.loss;
    add_to(sum.gradients, part.gradients);
  }
  sum.final_state = outcomes.back().final_state;
  sum.dinitial = outcomes.front().dinitial;
  return sum;
}

/// One rank, no exchange. Truncated: the graph is cut at the borders of the segments.
Outcome on_one_rank(const std::vector<int64_t>& lengths, bool full, DType dtype,
                    Architecture architecture = Architecture::kMamba2) {
  Context context({}, 1);
  LanguageModel model(context, config_for(dtype, architecture), dtype);
  testing::randomize(model, 29);
  int64_t total = 0;
  for (const int64_t length : lengths) total += length;
  const TokenBatch tokens(kBatch, total, model.config().vocabulary, 31);
  RecurrentState state = testing::random_state(model, kBatch, 37);
  const RecurrentState dfinal = testing::random_state(model, kBatch, 41);
  if (full) return run_segment(model, tokens, &state, &dfinal, nullptr, false);
  Outcome sum;
  int64_t begin = 0;
  for (size_t s = 0; s < lengths.size(); ++s) {
    if (lengths[s] == 0) continue;  // only in `full` cases
    const Outcome part = run_segment(model, tokens.segment({begin, begin + lengths[s]}), &state,
                                     s + 1 == lengths.size() ? &dfinal : nullptr, nullptr, false);
    sum.loss += part.loss;
    add_to(sum.gradients, part.gradients);
    if (s == 0) sum.dinitial = part.dinitial;
    sum.final_state = part.final_state;
    for (size_t i = 0; i < state.size(); ++i) {
      testing::assign(state[i], part.final_state.at(model.state_specs()[i].name));
    }
    begin += lengths[s];
  }
  return sum;
}

void expect_same(const Outcome& found, const Outcome& expected, double tolerance) {
  EXPECT_NEAR(found.loss, expected.loss, tolerance * expected.loss);
  for (const auto& [name, values] : expected.gradients) {
    EXPECT_TRUE(testing::close(found.gradients.at(name), values, tolerance)) << name;
  }
  for (const auto& [name, values] : expected.final_state) {
    EXPECT_TRUE(testing::close(found.final_state.at(name), values, tolerance)) << "final " << name;
  }
  for (const auto& [name, values] : expected.dinitial) {
    EXPECT_TRUE(testing::close(found.dinitial.at(name), values, tolerance)) << "dinitial " << name;
  }
}

struct Case {
  std::string name;
  std::vector<int64_t> lengths;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

class SequenceParallel
    : public ::testing::TestWithParam<std::tuple<Case, ExchangeAlgorithm, bool, Architecture>> {};

TEST_P(SequenceParallel, EqualsOneRankInDouble) {
  const auto& [c, algorithm, full, architecture] = GetParam();
  const Outcome expected = on_one_rank(c.lengths, full, DType::kF64, architecture);
  const int ranks = static_cast<int>(c.lengths.size());
  expect_same(on_ranks(ranks, c.lengths, algorithm, full, false, DType::kF64, architecture),
              expected, 1e-10);
}

std::vector<Case> segment_cases() {
  return {{"one_rank", {17}},
          {"even", {8, 8}},
          {"ragged", {9, 5, 7}},
          {"shorter_than_conv", {2, 1, 9, 2}},
          {"more_ranks_than_chunks", {2, 2, 1, 1}}};
}

INSTANTIATE_TEST_SUITE_P(
    Cuts, SequenceParallel,
    ::testing::Combine(::testing::ValuesIn(segment_cases()),
                       ::testing::Values(ExchangeAlgorithm::kAllGather, ExchangeAlgorithm::kChain,
                                         ExchangeAlgorithm::kLogStep),
                       ::testing::Bool(),
                       ::testing::Values(Architecture::kMamba2, Architecture::kMamba1)),
    [](const auto& info) {
      const auto algorithm = static_cast<size_t>(std::get<1>(info.param));
      return std::get<0>(info.param).name + "_" +
             std::string(dist::enum_names(ExchangeAlgorithm{})[algorithm]) +
             (std::get<2>(info.param) ? "_full_" : "_truncated_") +
             testing::architecture_name(std::get<3>(info.param));
    });

class SequenceParallelVariants : public ::testing::TestWithParam<Architecture> {};

INSTANTIATE_TEST_SUITE_P(Kinds, SequenceParallelVariants,
                         ::testing::Values(Architecture::kMamba2, Architecture::kMamba1),
                         [](const auto& info) { return testing::architecture_name(info.param); });

TEST_P(SequenceParallelVariants, SinglePrecisionEqualsOneRank) {
  const std::vector<int64_t> lengths{9, 5, 7};
  expect_same(on_ranks(3, lengths, ExchangeAlgorithm::kChain, true, false, DType::kF32, GetParam()),
              on_one_rank(lengths, true, DType::kF32, GetParam()), 1e-5);
}

TEST_P(SequenceParallelVariants, RecomputationEqualsOneRank) {
  const std::vector<int64_t> lengths{3, 8, 6};
  expect_same(
      on_ranks(3, lengths, ExchangeAlgorithm::kAllGather, true, true, DType::kF64, GetParam()),
      on_one_rank(lengths, true, DType::kF64, GetParam()), 1e-10);
}

TEST_P(SequenceParallelVariants, EmptySegmentsEqualOneRank) {
  const std::vector<int64_t> lengths{5, 0, 4, 0};
  expect_same(
      on_ranks(4, lengths, ExchangeAlgorithm::kLogStep, true, false, DType::kF64, GetParam()),
      on_one_rank(lengths, true, DType::kF64, GetParam()), 1e-10);
}

}  // namespace
}  // namespace longhaul
