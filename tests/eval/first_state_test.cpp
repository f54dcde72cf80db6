// Evaluations that begin from a given state, against forward passes from it.
#include "eval/first_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <vector>

#include "data/samplers.h"
#include "data/token_folder.h"
#include "dist/thread_communicator.h"
#include "eval/effrem.h"
#include "eval/perplexity.h"
#include "eval/states.h"
#include "eval/tasks/task_evaluation.h"
#include "model/init.h"
#include "tests/eval/scratch_folder.h"
#include "tests/eval/tiny_text.h"
#include "tests/support/random_tensor.h"

namespace longhaul::eval {
namespace {

constexpr int64_t kLength = 40;

/// A model, and a state that no zeros could be taken for.
struct Begun {
  Begun() : model(context, tiny_config(kVocabulary), core::DType::kF64) {
    model::initialize(model, 3);
    start = model.make_state(1);
    for (size_t i = 0; i < start.size(); ++i) {
      testing::assign(start[i], testing::random_values(start[i].elements(), i + 1, 2.0));
    }
  }
  core::Context context{{}, 1};
  model::LanguageModel model;
  model::RecurrentState start;
};

/// logits [tokens, vocabulary] from the state
std::vector<double> plain_logits(Begun& begun, const std::vector<int32_t>& tokens) {
  const core::Shape shape{1, std::ssize(tokens)};
  const core::Tensor logits(begun.context, core::DType::kF64, {1, std::ssize(tokens), kVocabulary});
  begun.model.forward({.tokens = core::Tensor::from(begun.context, tokens, shape),
                       .initial = &begun.start,
                       .logits = logits});
  return testing::values_of(logits);
}

std::vector<double> softmax_at(const std::vector<double>& logits, size_t position) {
  const auto first = logits.begin() + static_cast<int64_t>(position) * kVocabulary;
  std::vector<double> q(first, first + kVocabulary);
  double sum = 0;
  for (double& value : q) sum += value = std::exp(value);
  for (double& value : q) value /= sum;
  return q;
}

class FromAState : public ::testing::Test {
 protected:
  FromAState() : folder_(write_tokens(scratch_, 100)) {
    options_.length = kLength;
    options_.sequences = 2;
    options_.piece = 16;
    options_.seed = 9;
  }

  /// Of kLength tokens and the one after.
  std::vector<std::vector<int32_t>> windows() const {
    std::vector<std::vector<int32_t>> all;
    for (const int64_t begin :
         data::find_long_windows(folder_, kLength, options_.sequences, options_.seed).begins) {
      folder_.read(begin, all.emplace_back(static_cast<size_t>(kLength) + 1));
    }
    return all;
  }

  CurveOptions options_from(const Begun& begun) const {
    CurveOptions options = options_;
    options.start = &begun.start;
    return options;
  }

  /// `measure` on two sequence ranks, as the first of them has it.
  template <class Result, class Work>
  static Result on_two_ranks(const Work& measure) {
    Result result;
    std::mutex mutex;
    dist::run_thread_ranks(2, [&](dist::Communicator& world) {
      const dist::Mesh mesh(world, {.data = 1, .sequence = 2});
      Begun begun;
      Result own = measure(mesh, begun);
      const std::lock_guard lock(mutex);
      if (world.rank() == 0) result = std::move(own);
    });
    return result;
  }

  testing::ScratchFolder scratch_;
  data::TokenFolder folder_;
  CurveOptions options_;
};

TEST_F(FromAState, LossesByPositionAreThose) {
  const auto curve = on_two_ranks<PositionCurve>([&](const dist::Mesh& mesh, Begun& begun) {
    const CurveOptions options = options_from(begun);
    return evaluate_text(mesh, begun.model, folder_, options);
  });
  Begun begun;
  double first = 0;
  for (const std::vector<int32_t>& tokens : windows()) {
    const auto logits = plain_logits(begun, {tokens.begin(), tokens.end() - 1});
    first -= std::log(softmax_at(logits, 0)[static_cast<size_t>(tokens[1])]) / 2;
  }
  ASSERT_EQ(curve.buckets.front().end, 1);
  EXPECT_NEAR(curve.buckets.front().loss, first, 1e-10);
  const auto from_zero = on_two_ranks<PositionCurve>([&](const dist::Mesh& mesh, Begun& zero) {
    return evaluate_text(mesh, zero.model, folder_, options_);
  });
  EXPECT_GT(std::abs(from_zero.buckets.front().loss - first), 1e-3);
}

TEST_F(FromAState, StatesAreThose) {
  const auto found = on_two_ranks<StateStatistics>([&](const dist::Mesh& mesh, Begun& begun) {
    const CurveOptions options = options_from(begun);
    return evaluate_states(mesh, begun.model, text_sequences(folder_, options), options);
  });
  Begun begun;
  double sum = 0, squares = 0, count = 0;
  for (const std::vector<int32_t>& tokens : windows()) {
    model::RecurrentState end = begun.model.make_state(1);
    const auto one = core::Tensor::from(
        begun.context, std::vector<int32_t>{tokens.begin(), tokens.begin() + 1}, {1, 1});
    begun.model.forward({.tokens = one, .initial = &begun.start, .final_state = &end});
    for (size_t i = 0; i < end.size(); ++i) {
      if (begun.model.state_specs()[i].kind != model::StateKind::kRecurrent) continue;
      for (const double x : testing::values_of(end[i])) {
        sum += x;
        squares += x * x;
        count += 1;
      }
    }
  }
  ASSERT_EQ(found.positions.front(), 1);
  EXPECT_NEAR(found.pooled.deviation.front(),
              std::sqrt(squares / count - sum / count * (sum / count)), 1e-10);
}

TEST_F(FromAState, SuffixesBeginFromItToo) {
  const auto found = on_two_ranks<EffRem>([&](const dist::Mesh& mesh, Begun& begun) {
    const CurveOptions options = options_from(begun);
    return evaluate_effrem(mesh, begun.model, text_sequences(folder_, options), options);
  });
  Begun begun;
  for (const EffRemPoint& point : found.points) {
    double mean = 0;
    for (const std::vector<int32_t>& tokens : windows()) {
      const auto last = [&](int64_t from) {
        const auto logits = plain_logits(begun, {tokens.begin() + from, tokens.end() - 1});
        return softmax_at(logits, static_cast<size_t>(kLength - from - 1));
      };
      const auto whole = last(0), suffix = last(point.dropped);
      for (size_t i = 0; i < whole.size(); ++i) mean += std::abs(whole[i] - suffix[i]) / 4;
    }
    EXPECT_NEAR(point.distance, mean, 1e-10) << point.dropped;
  }
}

/// One token is asked, and the answer is what the model says first.
class OneToken final : public data::Task {
 public:
  std::string name() const override { return "one token"; }
  int64_t vocabulary() const override { return kVocabulary; }
  uint64_t fingerprint() const override { return 1; }
  int64_t different(int64_t) const override { return kVocabulary; }
  data::Example example(const data::ExampleRequest& request) const override {
    core::RandomStream random(request.key);
    return {.prompt = {static_cast<int32_t>(random.below(kVocabulary))}, .answer = {0}};
  }
};

class WhatIsSaid final : public AnswerScorer {
 public:
  int64_t tokens(const data::Example&) const override { return 1; }
  double score(const data::Example& example, std::span<const int32_t> said) const override {
    Begun begun;
    const auto logits = plain_logits(begun, example.prompt);
    return said[0] == std::max_element(logits.begin(), logits.end()) - logits.begin() ? 1 : 0;
  }
};

TEST_F(FromAState, PromptsBeginFromIt) {
  const OneToken task;
  const WhatIsSaid scorer;
  const auto accuracy = [&](bool begins_there) {
    const auto result = on_two_ranks<TaskResult>([&](const dist::Mesh& mesh, Begun& begun) {
      const TaskOptions options{.task = "copy",
                                .lengths = {1},
                                .trials = 13,
                                .seed = 9,
                                .start = begins_there ? &begun.start : nullptr};
      return evaluate_task(mesh, begun.model, {{"", task, scorer}}, options);
    });
    return result.cells.front().accuracy;
  };
  EXPECT_EQ(accuracy(true), 1);
  EXPECT_LT(accuracy(false), 1);
}

}  // namespace
}  // namespace longhaul::eval
