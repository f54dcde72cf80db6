// The small ops: embedding, addition, SwiGLU, time step.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/core/error.h"
#include "kernels/elementwise/add.h"
#include "kernels/embedding/embedding.h"
#include "kernels/mlp/swiglu.h"
#include "kernels/ssd/time_step.h"
#include "tests/kernels/small_op_case.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"
#include "tests/support/random_tensor.h"

namespace longhaul::kernels {
namespace {

using core::Context;
using core::DType;
using core::Tensor;
using testing::random_values;
using testing::Swiglu;
using testing::tensor_of;
using testing::TimeStep;
using testing::Values;
using testing::values_of;

TEST(Add, AddsInPlace) {
  for (const int64_t count : {0, 1, 17, 40'000}) {
    Context context({}, 2);
    const auto a = random_values(count, 1), b = random_values(count, 2);
    const Tensor source = tensor_of(context, DType::kF64, {count}, a),
                 target = tensor_of(context, DType::kF64, {count}, b);
    add(context, source, target);
    std::vector<double> expected(a.size());
    for (size_t i = 0; i < a.size(); ++i) expected[i] = a[i] + b[i];
    EXPECT_EQ(values_of(target), expected);
    EXPECT_EQ(values_of(source), a);
  }
}

TEST(Embedding, LooksUpRowsAndAddsTheirGradients) {
  Context context({}, 3);
  constexpr int64_t kVocabulary = 7, kWidth = 130;
  const std::vector<int32_t> tokens = {3, 0, 6, 3, 3};
  const Tensor token = Tensor::from<int32_t>(context, tokens, {5});
  const Tensor weight = testing::random_tensor(context, DType::kF32, {kVocabulary, kWidth}, 1);
  const Tensor y(context, DType::kF32, {5, kWidth});
  embedding_forward(context, {.tokens = token, .weight = weight, .y = y});
  for (int64_t r = 0; r < 5; ++r) {
    EXPECT_EQ(values_of(y.view().select(0, r)), values_of(weight.view().select(0, tokens[r])));
  }

  const Tensor dy = testing::random_tensor(context, DType::kF32, {5, kWidth}, 2);
  const Tensor dweight = testing::random_tensor(context, DType::kF32, {kVocabulary, kWidth}, 3);
  const Tensor expected = Tensor::copy_of(context, dweight);
  for (int64_t r = 0; r < 5; ++r) {  // in row order, as the contract says: so the bits agree
    for (int64_t i = 0; i < kWidth; ++i)
      expected.data<float>()[tokens[r] * kWidth + i] += dy.data<float>()[r * kWidth + i];
  }
  embedding_backward(context, {.tokens = token, .dy = dy, .dweight = dweight});
  EXPECT_TRUE(testing::bit_equal(dweight, expected));
}

TEST(Embedding, RefusesTokensOutsideTheVocabulary) {
  Context context({}, 1);
  const Tensor weight = Tensor::zeros(context, DType::kF32, {4, 2}),
               y = Tensor::zeros(context, DType::kF32, {2, 2});
  for (const int32_t bad : {-1, 4, std::numeric_limits<int32_t>::max()}) {
    const Tensor tokens = Tensor::from<int32_t>(context, {0, bad}, {2});
    EXPECT_THROW(embedding_forward(context, {.tokens = tokens, .weight = weight, .y = y}),
                 core::Error);
    EXPECT_THROW(embedding_backward(context, {.tokens = tokens, .dy = y, .dweight = weight}),
                 core::Error);
  }
}

TEST(Embedding, NoRows) {
  Context context({}, 2);
  const Tensor tokens(context, DType::kI32, {0}),
      weight = Tensor::zeros(context, DType::kF32, {4, 2});
  const Tensor y(context, DType::kF32, {0, 2});
  embedding_forward(context, {.tokens = tokens, .weight = weight, .y = y});
  embedding_backward(context, {.tokens = tokens, .dy = y, .dweight = weight});
}

TEST(Swiglu, EqualsTheFormula) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    const Swiglu op{.rows = 3, .width = 37, .dtype = dtype};
    const auto x = random_values(3 * 74, 1, 3);
    std::vector<double> expected;
    for (int64_t r = 0; r < 3; ++r) {
      for (int64_t i = 0; i < 37; ++i) {
        const double value = x[r * 74 + i], gate = x[r * 74 + 37 + i];
        expected.push_back(value * gate / (1 + std::exp(-gate)));
      }
    }
    EXPECT_TRUE(testing::close(op.forward({{"x", x}}).at("y"), expected,
                               dtype == DType::kF32 ? 1e-6 : 1e-14));
  }
}

TEST(Swiglu, GradientsMatchDifferences) {
  for (const int64_t rows : {0, 1, 5}) {
    const Swiglu op{.rows = rows, .width = 9};
    EXPECT_TRUE(testing::check_gradients(
        {.inputs = {{"x", random_values(rows * 18, 1)}},
         .forward = [&](const Values& in) { return op.forward(in); },
         .backward = [&](const Values& in, const Values& up) { return op.backward(in, up); }}));
  }
}

TEST(TimeStep, EqualsTheFormulaAndClamps) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    const TimeStep op{.rows = 6, .heads = 19, .low = 0.05, .high = 30, .dtype = dtype};
    const Values in = {{"raw", random_values(6 * 19, 1, 20)}, {"bias", random_values(19, 2)}};
    std::vector<double> expected;
    for (int64_t i = 0; i < 6 * 19; ++i) {
      const double sum = in.at("raw")[i] + in.at("bias")[i % 19];
      expected.push_back(std::clamp(sum > 20 ? sum : std::log1p(std::exp(sum)), 0.05, 30.0));
    }
    EXPECT_EQ(std::count(expected.begin(), expected.end(), 30.0) > 0, true);
    EXPECT_EQ(std::count(expected.begin(), expected.end(), 0.05) > 0, true);
    const auto found = op.forward(in).at("dt");
    for (size_t i = 0; i < expected.size();
         ++i) {  // each on its own: small steps matter as much as large ones
      EXPECT_NEAR(found[i] / expected[i], 1, dtype == DType::kF32 ? 2e-6 : 1e-14) << i;
    }
  }
}

TEST(TimeStep, GradientsMatchDifferences) {
  for (const int64_t rows : {0, 1, 40}) {
    for (const auto& [low, high] : {std::pair{0.0, 1e9}, std::pair{0.2, 1.5}}) {
      const TimeStep op{.rows = rows, .heads = 5, .low = low, .high = high};
      // Values within a step of a clamp would have no derivative; 1e-4 is far from all of these.
      EXPECT_TRUE(testing::check_gradients(
          {.inputs = {{"raw", random_values(rows * 5, 1)}, {"bias", random_values(5, 2)}},
           .forward = [&](const Values& in) { return op.forward(in); },
           .backward = [&](const Values& in, const Values& up) { return op.backward(in, up); },
           .step = 1e-4}))
          << rows << " rows, " << low << " to " << high;
    }
  }
}

TEST(TimeStep, ThreadsDoNotMatter) {
  TimeStep op{.rows = 2000, .heads = 24, .dtype = DType::kF32, .threads = 1};
  const Values in = {{"raw", random_values(2000 * 24, 1)}, {"bias", random_values(24, 2)}};
  const Values up = {{"dt", random_values(2000 * 24, 3)}};
  const Values one = op.backward(in, up);
  op.threads = 3;
  EXPECT_EQ(op.backward(in, up), one);
  op.dtype = DType::kF64;
  for (const auto& [name, values] : op.backward(in, up))
    EXPECT_TRUE(testing::close(one.at(name), values, 2e-5)) << name;
}

}  // namespace
}  // namespace longhaul::kernels
