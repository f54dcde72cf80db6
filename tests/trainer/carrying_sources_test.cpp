// State passing and TBTT against their definitions in the paper; storing of every source.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/support/compare.h"
#include "tests/trainer/source_fixture.h"

namespace longhaul::trainer {
namespace {

using testing::bit_equal;

/// The label of a row that must be one row of labelled_state() as a whole, or 0.
double label_of(const RecurrentState& state, int64_t row, bool with_conv) {
  const double label = values_of(state[0].view().select(0, row)).front();
  for (size_t i = 0; i < state.size(); ++i) {
    const bool is_conv = specs()[i].kind == StateKind::kConv;
    const double expected = !is_conv ? label : with_conv && label > 0 ? 99 + label : 0;
    EXPECT_TRUE(is_constant(state[i].view().select(0, row), expected)) << i << ", row " << row;
  }
  return label;
}

TEST(StatePassingSource, FirstStepIsZero) {
  SourceFixture f({.source = SourceKind::kStatePassing}, 4);
  const RecurrentState& state = f.source->initial({});
  for (size_t i = 0; i < state.size(); ++i) EXPECT_TRUE(is_constant(state[i], 0));
}

TEST(StatePassingSource, EverySequenceGetsOneOtherSequencesState) {
  constexpr int64_t kRows = 5, kSteps = 2000;
  SourceFixture f({.source = SourceKind::kStatePassing, .zero_probability = 0}, kRows);
  std::map<std::pair<int64_t, double>, int64_t> times;  // row, origin
  for (int64_t step = 0; step < kSteps; ++step) {
    f.source->initial({.micro_step = step});
    RecurrentState final_state = f.labelled_state();
    f.source->keep({.micro_step = step}, final_state);
    final_state.set_zero(f.context);  // the source must have its own copy
    const RecurrentState& passed = f.source->initial({.micro_step = step + 1});
    std::set<double> origins;
    for (int64_t row = 0; row < kRows; ++row) {
      const double label = label_of(passed, row, false);
      EXPECT_GE(label, 1);
      origins.insert(label);
      ++times[{row, label}];
    }
    EXPECT_EQ(origins.size(), static_cast<size_t>(kRows)) << "not a permutation";
  }
  const double expected = static_cast<double>(kSteps) / kRows;
  EXPECT_EQ(times.size(), static_cast<size_t>(kRows * kRows));
  for (const auto& [pair, count] : times) {
    EXPECT_NEAR(static_cast<double>(count), expected, 4.5 * std::sqrt(expected * 0.8));
  }
}

TEST(StatePassingSource, ZeroesSequencesWithItsProbability) {
  constexpr int64_t kRows = 50;
  SourceFixture f({.source = SourceKind::kStatePassing}, kRows);
  int64_t zeros = 0;
  f.source->initial({});
  f.source->keep({}, f.labelled_state());
  for (int64_t step = 1; step <= 100; ++step) {
    const RecurrentState& passed = f.source->initial({.micro_step = step});
    for (int64_t row = 0; row < kRows; ++row) zeros += label_of(passed, row, false) == 0 ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(zeros), 500, 4.5 * std::sqrt(450));
}

TEST(StatePassingSource, StatesStayInPlaceWhereAsked) {
  SourceFixture f({.source = SourceKind::kStatePassing, .zero_probability = 0, .permute = false},
                  4);
  f.source->initial({});
  f.source->keep({}, f.labelled_state());
  const RecurrentState& passed = f.source->initial({.micro_step = 1});
  for (int64_t row = 0; row < 4; ++row) {
    EXPECT_EQ(label_of(passed, row, false), static_cast<double>(row + 1));
  }
}

/// What every row of a micro-step starts from, on `ranks` data ranks that share kRows rows.
std::vector<double> origins_on(int ranks, bool pass_conv) {
  constexpr int64_t kRows = 12;
  std::vector<double> labels(kRows);
  dist::run_thread_ranks(ranks, [&](dist::Communicator& group) {
    const int64_t rows = kRows / ranks, first = rows * group.rank();
    core::Context context({}, 1);
    const auto source = make_source({.source = SourceKind::kStatePassing, .pass_conv = pass_conv},
                                    {.context = context,
                                     .specs = specs(),
                                     .state_dtype = core::DType::kF64,
                                     .group = group,
                                     .batch = rows,
                                     .seed = 5});
    RecurrentState final_state(context, specs(), core::DType::kF64, rows);
    for (int64_t step = 0; step < 3; ++step) {
      const SourceStep place{.micro_step = step, .first_sequence = first};
      const RecurrentState& initial = source->initial(place);
      for (int64_t row = 0; row < rows; ++row) {
        labels[static_cast<size_t>(first + row)] = label_of(initial, row, pass_conv);
        for (size_t i = 0; i < specs().size(); ++i) {
          const core::TensorView part = final_state[i].view().select(0, row);
          const double label =
              static_cast<double>(first + row + (specs()[i].kind == StateKind::kConv ? 100 : 1));
          assign(part, std::vector<double>(static_cast<size_t>(part.elements()), label));
        }
      }
      source->keep(place, final_state);
    }
  });
  return labels;
}

TEST(StatePassingSource, RowsGetTheSameStatesOnAnyNumberOfRanks) {
  for (const bool pass_conv : {false, true}) {
    const std::vector<double> alone = origins_on(1, pass_conv);
    const std::set<double> distinct(alone.begin(), alone.end());
    EXPECT_GE(distinct.size(), 9u);  // but for those that start from zero
    for (const int ranks : {2, 3, 4, 12}) EXPECT_EQ(origins_on(ranks, pass_conv), alone) << ranks;
  }
}

TEST(StatePassingSource, PassesConvStatesWhereAsked) {
  SourceFixture f({.source = SourceKind::kStatePassing, .zero_probability = 0, .pass_conv = true},
                  4);
  f.source->initial({});
  f.source->keep({}, f.labelled_state());
  const RecurrentState& passed = f.source->initial({.micro_step = 1});
  for (int64_t row = 0; row < 4; ++row) EXPECT_GE(label_of(passed, row, true), 1);
}

TEST(StatePassingSource, WithoutKeepTheOlderStatesArePassedAgain) {
  SourceFixture f({.source = SourceKind::kStatePassing, .zero_probability = 0, .permute = false},
                  2);
  f.source->initial({});
  f.source->keep({}, f.labelled_state());
  f.source->initial({.micro_step = 1});
  EXPECT_EQ(label_of(f.source->initial({.micro_step = 2}), 1, false), 2);
}

class TbttConv : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(TbttSource, TbttConv, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Carried" : "Zero"; });

TEST_P(TbttConv, LanesContinueAndFreshRowsStartFromZero) {
  SourceFixture f({.source = SourceKind::kTbtt, .tbtt_conv = GetParam()}, 4);
  const std::vector<uint8_t> all(4, 1), some{0, 1, 0, 0};
  const RecurrentState& first = f.source->initial({.fresh = &all});
  for (size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(is_constant(first[i], 0));
  RecurrentState final_state = f.labelled_state();
  f.source->keep({.fresh = &all}, final_state);
  final_state.set_zero(f.context);
  const RecurrentState& next = f.source->initial({.micro_step = 1, .fresh = &some});
  for (int64_t row = 0; row < 4; ++row) {
    EXPECT_EQ(label_of(next, row, GetParam()), row == 1 ? 0 : static_cast<double>(row + 1));
  }
}

class StoredSource : public ::testing::TestWithParam<SourceKind> {};
INSTANTIATE_TEST_SUITE_P(Sources, StoredSource,
                         ::testing::Values(SourceKind::kZero, SourceKind::kNoise,
                                           SourceKind::kFittedNoise, SourceKind::kStatePassing,
                                           SourceKind::kTbtt),
                         [](const auto& info) {
                           return std::string(enum_names(info.param)[size_t(info.param)]);
                         });

TEST_P(StoredSource, ContinuesTheSame) {
  const InitialStateConfig config{.source = GetParam(), .zero_probability = 0.3};
  SourceFixture original(config, 5), restored(config, 5);
  const std::vector<uint8_t> fresh{0, 0, 1, 0, 0};
  const auto run = [&](SourceFixture& f, int64_t step) {
    const SourceStep place{.micro_step = step, .first_sequence = 10, .fresh = &fresh};
    RecurrentState initial = f.source->initial(place).clone(f.context);
    f.source->keep(place, f.random_state(static_cast<uint64_t>(step) + 1));
    return initial;
  };
  for (int64_t step = 0; step < 3; ++step) run(original, step);
  const auto from = original.source->stored(), to = restored.source->stored();
  ASSERT_EQ(from.size(), to.size());
  for (size_t i = 0; i < from.size(); ++i) {
    EXPECT_EQ(from[i].name, to[i].name);
    EXPECT_EQ(from[i].per_row, from[i].view.extent(0) == 5 && from[i].name != "updates");
    core::copy(restored.context, from[i].view, to[i].view);
  }
  for (int64_t step = 3; step < 6; ++step) {
    const RecurrentState expected = run(original, step), found = run(restored, step);
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(bit_equal(found[i], expected[i]));
  }
}

}  // namespace
}  // namespace longhaul::trainer
