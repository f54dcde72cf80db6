// How often a recorded pass is launched, and what makes it be recorded again.
#include "trainer/recorded_pass.h"

#include <gtest/gtest.h>

#include "model/init.h"
#include "tests/kernels/device/device_test.h"
#include "tests/support/random_tensor.h"
#include "tests/support/simt/stream.h"
#include "tests/trainer/tiny_run.h"

namespace longhaul::testing {
namespace {

using core::DType;
using core::TensorView;

class RecordedPass : public ::testing::Test {
 protected:
  RecordedPass() : model_(context_, tiny_run_model(), DType::kF32), pass_(model_, 2, 6) {
    model::initialize(model_, 3);
  }

  double run(const model::RecurrentState& initial, double scale = 0.1, bool overwrites = false) {
    return pass_.run({tokens_.data(), DType::kI32, {2, 6}}, {labels_.data(), DType::kI32, {2, 6}},
                     {.initial = &initial, .scale = scale, .overwrite_gradients = overwrites});
  }
  int64_t launches() const { return simt::recordings_launched() - before_; }

  core::Context context_{kCuda};
  model::LanguageModel model_;
  trainer::RecordedPass pass_;
  std::vector<int32_t> tokens_{1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2};
  std::vector<int32_t> labels_{2, 3, 4, 5, -1, 7, 8, 9, 0, 1, 2, 3};
  int64_t before_ = simt::recordings_launched();
};

TEST_F(RecordedPass, IsLaunchedFromTheSecondRunOn) {
  const model::RecurrentState initial = model_.make_state(2);
  const double first = run(initial);
  EXPECT_EQ(launches(), 0);
  EXPECT_EQ(run(initial), first);
  EXPECT_EQ(run(initial), first);
  EXPECT_EQ(launches(), 2);
}

TEST_F(RecordedPass, ReadsWhatTheHostGivesItNow) {
  const model::RecurrentState initial = model_.make_state(2);
  for (int i = 0; i < 2; ++i) run(initial);
  core::set_zero(context_, model_.parameters().gradients());
  tokens_[3] = 0;
  labels_[4] = 4;
  const double recorded = run(initial, 0.3);
  const auto gradients = values_of(model_.parameters().gradients());
  core::set_zero(context_, model_.parameters().gradients());
  const auto on_device = [&](std::vector<int32_t>& values) {
    return core::Tensor::from(context_, values, {2, 6});
  };
  const auto plain = model_.forward_backward({.tokens = on_device(tokens_),
                                              .labels = on_device(labels_),
                                              .initial = &initial,
                                              .scale = 0.3});
  EXPECT_EQ(recorded, plain.sum);
  EXPECT_EQ(gradients, values_of(model_.parameters().gradients()));
}

TEST_F(RecordedPass, IsRecordedAgainWhereStatesLieElsewhereAndWhenThePoolGaveMemoryBack) {
  const model::RecurrentState one = model_.make_state(2), other = model_.make_state(2);
  for (int i = 0; i < 3; ++i) run(one);
  EXPECT_EQ(launches(), 2);
  run(other);
  EXPECT_EQ(launches(), 2);
  run(other);
  EXPECT_EQ(launches(), 3);
  context_.pool().free_cached();
  run(other);
  EXPECT_EQ(launches(), 3);
  run(other);
  EXPECT_EQ(launches(), 4);
}

TEST_F(RecordedPass, IsRecordedAgainWhereGradientsAreNoLongerOverwritten) {
  const model::RecurrentState initial = model_.make_state(2);
  for (int i = 0; i < 3; ++i) run(initial, 0.1, true);
  EXPECT_EQ(launches(), 2);
  const auto once = values_of(model_.parameters().gradients());
  for (int i = 2; i <= 4; ++i) {
    run(initial, 0.1, false);
    EXPECT_EQ(launches(), i);
    std::vector<double> expected = once;
    for (double& gradient : expected) gradient *= i;
    EXPECT_TRUE(close(model_.parameters().gradients(), expected, 1e-6));
  }
}

TEST_F(RecordedPass, TokensOutsideOfTheVocabularyAreRefused) {
  const model::RecurrentState initial = model_.make_state(2);
  tokens_[7] = 10;
  EXPECT_THROW(run(initial), core::Error);
  tokens_[7] = 8;
  labels_[7] = -2;
  EXPECT_THROW(run(initial), core::Error);
}

}  // namespace
}  // namespace longhaul::testing
