#include "model/recurrent_state.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/core/context.h"
#include "kernels/state/state_ops.h"

namespace longhaul::model {
namespace {

using core::DType;
using kernels::StateGather;

std::vector<StateSpec> specs() {
  return {{"ssm.0", {2, 3, 4}, StateKind::kRecurrent, 0, 2},
          {"conv.0", {3, 5}, StateKind::kConv, 0, 1},
          {"ssm.1", {2, 3, 4}, StateKind::kRecurrent, 1, 2},
          {"conv.1", {0, 5}, StateKind::kConv, 1, 1}};  // a convolution of one tap carries nothing
}

class States : public ::testing::Test {
 protected:
  /// Every element different, none zero.
  RecurrentState filled(int64_t batch, float first) {
    RecurrentState state(context_, specs(), DType::kF32, batch);
    float next = first;
    for (size_t i = 0; i < state.size(); ++i) {
      for (int64_t j = 0; j < state[i].elements(); ++j) state[i].data<float>()[j] = next++;
    }
    return state;
  }

  static std::vector<float> sequence_of(const RecurrentState& state, size_t i, int64_t sequence) {
    const core::TensorView view = state[i].view().select(0, sequence);
    return {view.data<float>(), view.data<float>() + view.elements()};
  }

  core::Context context_{core::Device{}, 1};
};

TEST_F(States, StartAsZerosInTheirShapes) {
  const RecurrentState state(context_, specs(), DType::kF32, 3);
  ASSERT_EQ(state.size(), 4u);
  EXPECT_EQ(state.batch(), 3);
  EXPECT_FALSE(state.empty());
  EXPECT_EQ(state[0].shape(), (core::Shape{3, 2, 3, 4}));
  EXPECT_EQ(state[1].shape(), (core::Shape{3, 3, 5}));
  EXPECT_EQ(state[3].shape(), (core::Shape{3, 0, 5}));
  EXPECT_EQ(state.bytes(), 4 * 3 * (24 + 15 + 24));
  for (size_t i = 0; i < state.size(); ++i) {
    for (int64_t j = 0; j < state[i].elements(); ++j) EXPECT_EQ(state[i].data<float>()[j], 0.0f);
  }
}

TEST_F(States, NothingIsEmpty) {
  const RecurrentState state;
  EXPECT_TRUE(state.empty());
  EXPECT_EQ(state.batch(), 0);
  EXPECT_EQ(state.bytes(), 0);
}

TEST_F(States, AreKeptInTheStateDtype) {
  EXPECT_EQ(RecurrentState(context_, specs(), DType::kF64, 1)[0].dtype(), DType::kF64);
  EXPECT_EQ(RecurrentState(context_, specs(), DType::kBF16, 1)[0].dtype(), DType::kF32);
}

TEST_F(States, CloneSharesNothing) {
  RecurrentState original = filled(2, 1);
  const RecurrentState clone = original.clone(context_);
  const auto before = sequence_of(original, 1, 1);
  original.set_zero(context_);
  ASSERT_EQ(clone.size(), 4u);
  EXPECT_EQ(sequence_of(clone, 1, 1), before);
  EXPECT_EQ(sequence_of(original, 1, 1), std::vector<float>(15, 0.0f));
  EXPECT_EQ(clone[3].shape(), original[3].shape());
}

TEST_F(States, ZeroOneSequence) {
  RecurrentState state = filled(3, 1);
  const RecurrentState before = state.clone(context_);
  state.zero_sequences(context_, {0, 1, 0});
  for (size_t i = 0; i < state.size(); ++i) {
    EXPECT_EQ(sequence_of(state, i, 0), sequence_of(before, i, 0));
    EXPECT_EQ(sequence_of(state, i, 1),
              std::vector<float>(static_cast<size_t>(specs()[i].shape.elements()), 0.0f));
    EXPECT_EQ(sequence_of(state, i, 2), sequence_of(before, i, 2));
  }
}

TEST_F(States, ZeroOneKind) {
  RecurrentState state = filled(2, 1);
  const RecurrentState before = state.clone(context_);
  state.zero_kind(context_, specs(), StateKind::kConv);
  EXPECT_EQ(sequence_of(state, 0, 1), sequence_of(before, 0, 1));
  EXPECT_EQ(sequence_of(state, 2, 0), sequence_of(before, 2, 0));
  EXPECT_EQ(sequence_of(state, 1, 0), std::vector<float>(15, 0.0f));
  EXPECT_EQ(sequence_of(state, 1, 1), std::vector<float>(15, 0.0f));
}

TEST_F(States, CopyASequenceFromAnotherBatch) {
  RecurrentState target = filled(2, 1);
  const RecurrentState before = target.clone(context_);
  const RecurrentState source = filled(4, 1000);
  target.gather(context_, {3, StateGather::kKeep}, &source);
  for (size_t i = 0; i < target.size(); ++i) {
    EXPECT_EQ(sequence_of(target, i, 0), sequence_of(source, i, 3));
    EXPECT_EQ(sequence_of(target, i, 1), sequence_of(before, i, 1));
  }
}

using StatesDeathTest = States;

TEST_F(StatesDeathTest, ASequenceThatTheSourceHasNotIsRefused) {
  RecurrentState target = filled(2, 1);
  const RecurrentState source = filled(4, 1000);
  EXPECT_DEATH(target.gather(context_, {4, 0}, &source), "4");
  EXPECT_DEATH(target.gather(context_, {0, StateGather::kZero}), "0");
  EXPECT_DEATH(target.gather(context_, {-3, 0}, &source), "-3");
  EXPECT_DEATH(target.gather(context_, {0}, &source), "1 vs. 2");
}

}  // namespace
}  // namespace longhaul::model
