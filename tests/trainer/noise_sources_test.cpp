// Zero, random noise and fitted noise against their definitions in the paper.
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

#include "tests/support/compare.h"
#include "tests/trainer/source_fixture.h"

namespace longhaul::trainer {
namespace {

using testing::bit_equal;

struct Moments {
  double mean = 0, deviation = 0;
  int64_t count = 0;
};
/// Of each head of a state tensor, over rows and elements.
std::vector<Moments> moments_by_head(const core::TensorView& view) {
  std::vector<Moments> result;
  for (int64_t head = 0; head < view.extent(1); ++head) {
    const std::vector<double> values = values_of(view.slice(1, head, head + 1));
    Moments m{.count = static_cast<int64_t>(values.size())};
    for (const double v : values) m.mean += v / static_cast<double>(m.count);
    for (const double v : values) {
      m.deviation += (v - m.mean) * (v - m.mean) / static_cast<double>(m.count);
    }
    m.deviation = std::sqrt(m.deviation);
    result.push_back(m);
  }
  return result;
}

void expect_moments(const Moments& found, double mean, double deviation) {
  const double standard_error = deviation / std::sqrt(static_cast<double>(found.count));
  EXPECT_NEAR(found.mean, mean, 4.5 * standard_error);
  EXPECT_NEAR(found.deviation, deviation, 4.5 * standard_error / std::sqrt(2.0));
}

TEST(ZeroSource, IsZeroAndKeepsNothing) {
  SourceFixture f({.source = SourceKind::kZero}, 3);
  const SourceStep step;
  EXPECT_FALSE(f.source->uses_final_states());
  for (int i = 0; i < 2; ++i) {
    const RecurrentState& state = f.source->initial(step);
    for (size_t t = 0; t < state.size(); ++t) EXPECT_TRUE(is_constant(state[t], 0));
    f.source->keep(step, f.random_state(1));
  }
  EXPECT_TRUE(f.source->stored().empty());
}

TEST(NoiseSource, HasTheSameMeanAndDeviationInEveryLayerAndHead) {
  SourceFixture f({.source = SourceKind::kNoise, .deviation = 0.5, .mean = 0.2}, 2000);
  const RecurrentState& state = f.source->initial({.micro_step = 3});
  for (const size_t i : {size_t{0}, size_t{2}}) {
    for (const Moments& m : moments_by_head(state[i])) expect_moments(m, 0.2, 0.5);
  }
  EXPECT_TRUE(is_constant(state[1], 0));
  EXPECT_TRUE(is_constant(state[3], 0));
  // Normal, not merely of these moments: 68.27 % within one deviation, 95.45 % within two.
  const std::vector<double> values = values_of(state[0]);
  const auto share_within = [&](double width) {
    const auto inside = std::count_if(values.begin(), values.end(),
                                      [&](double v) { return std::abs(v - 0.2) < 0.5 * width; });
    return static_cast<double>(inside) / static_cast<double>(values.size());
  };
  EXPECT_NEAR(share_within(1), 0.6827, 0.006);
  EXPECT_NEAR(share_within(2), 0.9545, 0.003);
}

TEST(NoiseSource, NumbersDoNotRepeat) {
  SourceFixture f({.source = SourceKind::kNoise}, 3);
  std::set<double> seen;
  size_t drawn = 0;
  for (int64_t step = 0; step < 4; ++step) {
    const RecurrentState& state = f.source->initial({.micro_step = step});
    for (const size_t i : {size_t{0}, size_t{2}}) {
      for (const double v : values_of(state[i])) seen.insert(v), ++drawn;
    }
  }
  EXPECT_EQ(seen.size(), drawn);
}

TEST(NoiseSource, DependsOnTheGlobalSequenceNotOnTheRank) {
  SourceFixture whole({.source = SourceKind::kNoise, .noise_zero_probability = 0.3}, 12);
  SourceFixture part({.source = SourceKind::kNoise, .noise_zero_probability = 0.3}, 4);
  const RecurrentState& all = whole.source->initial({.micro_step = 9});
  for (int64_t rank = 0; rank < 3; ++rank) {
    const RecurrentState& own = part.source->initial({.micro_step = 9, .first_sequence = 4 * rank});
    for (size_t i = 0; i < own.size(); ++i) {
      EXPECT_TRUE(bit_equal(own[i], all[i].view().slice(0, 4 * rank, 4 * rank + 4))) << rank;
    }
  }
}

TEST(NoiseSource, ZeroesWholeSequencesWithItsProbability) {
  SourceFixture f({.source = SourceKind::kNoise, .noise_zero_probability = 0.25}, 40);
  int64_t zeros = 0;
  for (int64_t step = 0; step < 100; ++step) {
    const RecurrentState& state = f.source->initial({.micro_step = step});
    for (int64_t row = 0; row < 40; ++row) {
      const bool is_zero = is_constant(state[0].view().select(0, row), 0);
      EXPECT_EQ(is_constant(state[2].view().select(0, row), 0), is_zero);
      zeros += is_zero ? 1 : 0;
    }
  }
  EXPECT_NEAR(static_cast<double>(zeros), 1000, 4.5 * std::sqrt(750));
}

TEST(NoiseSource, ThePaperZeroesNoNoise) {
  EXPECT_EQ(InitialStateConfig{}.noise_zero_probability, 0);
  EXPECT_EQ(InitialStateConfig{}.zero_probability, 0.1);
}

/// E[x] or E[x²] of every head over all rows, as plain sums.
std::vector<double> plain_moments(const std::vector<std::vector<double>>& rows_of_tensors,
                                  int power) {
  std::vector<double> result;
  for (size_t i = 0; i < specs().size(); ++i) {
    if (specs()[i].kind != StateKind::kRecurrent) continue;
    const auto heads = static_cast<size_t>(specs()[i].groups);
    const size_t inner = static_cast<size_t>(specs()[i].shape.elements()) / heads;
    for (size_t head = 0; head < heads; ++head) {
      double sum = 0, count = 0;
      const std::vector<double>& values = rows_of_tensors[i];
      for (size_t j = 0; j < values.size(); ++j) {
        if (j / inner % heads != head) continue;
        sum += power == 1 ? values[j] : values[j] * values[j];
        count += 1;
      }
      result.push_back(sum / count);
    }
  }
  return result;
}

TEST(FittedNoiseSource, RunningMomentsAreOfAllRanksFinalStates) {
  constexpr int64_t kRows = 6, kSteps = 3;
  constexpr double kMomentum = 0.25;
  const auto values_at = [](int64_t step, size_t tensor) {  // of all rows of all ranks
    return random_values(kRows * specs()[tensor].shape.elements(),
                         static_cast<uint64_t>(step * 100) + tensor, 1.0 + 0.2 * double(step),
                         0.1 * static_cast<double>(tensor));
  };
  std::vector<double> expected;
  for (int64_t step = 0; step < kSteps; ++step) {
    std::vector<std::vector<double>> tensors;
    for (size_t i = 0; i < specs().size(); ++i) tensors.push_back(values_at(step, i));
    std::vector<double> own = plain_moments(tensors, 1);
    for (const double m : plain_moments(tensors, 2)) own.push_back(m);
    if (step == 0) expected = own;
    for (size_t i = 0; i < own.size(); ++i) {
      expected[i] = (1 - kMomentum) * expected[i] + kMomentum * own[i];
    }
  }
  for (const int ranks : {1, 2, 3}) {
    dist::run_thread_ranks(ranks, [&](dist::Communicator& world) {
      core::Context context({}, 1);
      const int64_t rows = kRows / ranks, first = rows * world.rank();
      const auto source = make_source({.source = SourceKind::kFittedNoise, .momentum = kMomentum},
                                      {.context = context,
                                       .specs = specs(),
                                       .state_dtype = core::DType::kF64,
                                       .group = world,
                                       .batch = rows,
                                       .seed = 1});
      RecurrentState state(context, specs(), core::DType::kF64, rows);
      for (int64_t step = 0; step < kSteps; ++step) {
        source->initial({.micro_step = step, .first_sequence = first});
        for (size_t i = 0; i < state.size(); ++i) {
          const std::vector<double> all = values_at(step, i);
          const int64_t each = specs()[i].shape.elements();
          assign(state[i], {all.begin() + first * each, all.begin() + (first + rows) * each});
        }
        source->keep({.micro_step = step, .first_sequence = first}, state);
      }
      EXPECT_TRUE(testing::close(source->stored().front().view, expected, 1e-13)) << ranks;
    });
  }
}

TEST(FittedNoiseSource, StartsFromZeroThenDrawsEachHeadFromItsOwnMoments) {
  constexpr int64_t kRows = 1500;
  SourceFixture f({.source = SourceKind::kFittedNoise}, kRows);
  EXPECT_TRUE(f.source->uses_final_states());
  const RecurrentState& first = f.source->initial({});
  for (size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(is_constant(first[i], 0));

  RecurrentState kept = f.state();
  for (size_t i = 0; i < kept.size(); ++i) {
    for (int64_t head = 0; head < kept[i].extent(1); ++head) {
      const core::TensorView part = kept[i].view().slice(1, head, head + 1);
      const double scale = 0.2 + static_cast<double>(head) + 3 * static_cast<double>(i);
      assign(part, random_values(part.elements(), 77 * i + static_cast<uint64_t>(head), scale,
                                 -1 + 2 * static_cast<double>(head)));
    }
  }
  f.source->keep({}, kept);
  const RecurrentState& drawn = f.source->initial({.micro_step = 1});
  for (const size_t i : {size_t{0}, size_t{2}}) {
    const auto found = moments_by_head(drawn[i]), seen = moments_by_head(kept[i]);
    for (size_t head = 0; head < found.size(); ++head) {
      expect_moments(found[head], seen[head].mean, seen[head].deviation);
    }
  }
  EXPECT_TRUE(is_constant(drawn[1], 0));
  EXPECT_TRUE(is_constant(drawn[3], 0));
}

TEST(FittedNoiseSource, ConstantStatesGiveNoNoise) {
  SourceFixture f({.source = SourceKind::kFittedNoise}, 4);
  RecurrentState kept = f.state();
  for (size_t i = 0; i < kept.size(); ++i) {
    assign(kept[i], std::vector<double>(static_cast<size_t>(kept[i].elements()), 0.1));
  }
  f.source->initial({});
  f.source->keep({}, kept);
  for (const double v : values_of(f.source->initial({.micro_step = 1})[0]))
    EXPECT_NEAR(v, 0.1, 1e-7);
}

}  // namespace
}  // namespace longhaul::trainer
