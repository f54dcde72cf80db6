#include "kernels/loss/linear_cross_entropy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/core/error.h"
#include "kernels/core/random.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"
#include "tests/support/random_tensor.h"

namespace longhaul::kernels {
namespace {

using core::Context;
using core::DType;
using core::Tensor;
using testing::random_values;
using testing::tensor_of;
using testing::Values;
using testing::values_of;

struct Head {
  int64_t rows, width, vocabulary;
  double scale = 1;
  DType dtype = DType::kF64;
  int threads = 2;

  Values inputs() const {
    return {{"hidden", random_values(rows * width, 1)},
            {"weight", random_values(vocabulary * width, 2)}};
  }
  /// One label in five does not count.
  std::vector<int32_t> labels() const {
    core::RandomStream stream({.seed = 3});
    std::vector<int32_t> values;
    for (int64_t r = 0; r < rows; ++r) {
      const bool counts = stream.below(5) > 0;
      values.push_back(
          counts ? static_cast<int32_t>(stream.below(static_cast<uint64_t>(vocabulary))) : -1);
    }
    return values;
  }

  struct Result {
    LossSum total;
    std::vector<double> loss, predicted, dhidden, dweight;
  };
  Result run(const Values& in, double initial_dweight = 0, bool overwrite_dweight = false) const {
    Context context({}, threads);
    const Tensor hidden = tensor_of(context, dtype, {rows, width}, in.at("hidden"));
    const Tensor weight = tensor_of(context, dtype, {vocabulary, width}, in.at("weight"));
    const Tensor label = Tensor::from<int32_t>(context, labels(), {rows});
    const Tensor loss(context, dtype, {rows}), predicted(context, DType::kI32, {rows}),
        dhidden(context, dtype, {rows, width});
    const Tensor dweight =
        tensor_of(context, dtype, {vocabulary, width},
                  std::vector<double>(static_cast<size_t>(vocabulary * width), initial_dweight));
    const LossSum total = linear_cross_entropy(context, {.hidden = hidden,
                                                         .weight = weight,
                                                         .labels = label,
                                                         .scale = scale,
                                                         .loss = loss,
                                                         .predicted = predicted,
                                                         .dhidden = dhidden,
                                                         .dweight = dweight,
                                                         .overwrite_dweight = overwrite_dweight});
    return {total, values_of(loss), values_of(predicted), values_of(dhidden), values_of(dweight)};
  }

  Result expected(const Values& in) const {
    Result result;
    const auto label = labels();
    for (int64_t r = 0; r < rows; ++r) {
      std::vector<double> logits;
      double sum = 0;
      for (int64_t v = 0; v < vocabulary; ++v) {
        double logit = 0;
        for (int64_t i = 0; i < width; ++i)
          logit += in.at("hidden")[r * width + i] * in.at("weight")[v * width + i];
        logits.push_back(logit);
        sum += std::exp(logit);
      }
      result.loss.push_back(label[r] < 0 ? 0 : std::log(sum) - logits[label[r]]);
      result.predicted.push_back(
          static_cast<double>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      result.total.sum += result.loss.back();
      result.total.count += label[r] >= 0;
    }
    return result;
  }
};

TEST(LinearCrossEntropy, EqualsTheFormula) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    const double tolerance = dtype == DType::kF32 ? 2e-6 : 1e-13;
    for (const auto& head :
         {Head{1, 1, 1}, Head{33, 5, 17}, Head{9, 4, 300}, Head{300, 3, 20'000}}) {
      Head typed = head;
      typed.dtype = dtype;
      const auto found = typed.run(head.inputs()), expected = head.expected(head.inputs());
      EXPECT_TRUE(testing::close(found.loss, expected.loss, tolerance)) << head.vocabulary;
      EXPECT_EQ(found.predicted, expected.predicted) << head.vocabulary;
      EXPECT_NEAR(found.total.sum, expected.total.sum, tolerance * (1 + expected.total.sum));
      EXPECT_EQ(found.total.count, expected.total.count);
    }
  }
}

TEST(LinearCrossEntropy, GradientsMatchDifferences) {
  for (const auto& head :
       {Head{0, 3, 5}, Head{1, 3, 5, 0.5}, Head{40, 6, 21, 2}, Head{140, 2, 9000, 0.01}}) {
    EXPECT_TRUE(testing::check_gradients(
        {.inputs = head.inputs(),
         .forward =
             [&](const Values& in) {
               return Values{{"total", {head.scale * head.run(in).total.sum}}};
             },
         .backward =
             [&](const Values& in, const Values& up) {
               auto result = head.run(in);
               for (auto* gradient : {&result.dhidden, &result.dweight}) {
                 for (double& g : *gradient) g *= up.at("total")[0];
               }
               return Values{{"hidden", result.dhidden}, {"weight", result.dweight}};
             }}))
        << head.rows << " rows";
  }
}

TEST(LinearCrossEntropy, SinglePrecisionFollowsDoubleAndThreadsDoNotMatter) {
  const Head head{.rows = 260, .width = 33, .vocabulary = 4999, .dtype = DType::kF32, .threads = 1};
  Head exact = head, threaded = head;
  exact.dtype = DType::kF64;
  threaded.threads = 3;
  const auto in = head.inputs();
  const auto found = head.run(in), expected = exact.run(in), again = threaded.run(in);
  EXPECT_TRUE(testing::close(found.loss, expected.loss, 1e-6));
  EXPECT_TRUE(testing::close(found.dhidden, expected.dhidden, 2e-5));
  EXPECT_TRUE(testing::close(found.dweight, expected.dweight, 2e-5));
  EXPECT_EQ(found.dhidden, again.dhidden);
  EXPECT_EQ(found.dweight, again.dweight);
  EXPECT_EQ(found.total.sum, again.total.sum);
}

TEST(LinearCrossEntropy, AccumulatesDweightOnly) {
  const Head head{.rows = 12, .width = 3, .vocabulary = 8};
  const auto fresh = head.run(head.inputs()), added = head.run(head.inputs(), 5);
  auto expected = fresh.dweight;
  for (double& e : expected) e += 5;
  EXPECT_TRUE(testing::close(added.dweight, expected, 1e-14));
  EXPECT_EQ(added.dhidden, fresh.dhidden);
}

/// In one block of rows, in three, and of no rows.
TEST(LinearCrossEntropy, OverwritesDweight) {
  for (const int64_t rows : {int64_t{12}, int64_t{300}, int64_t{0}}) {
    const Head head{.rows = rows, .width = 3, .vocabulary = rows == 300 ? 4096 : 8};
    EXPECT_EQ(cpu::cross_entropy_block_rows(rows, head.vocabulary, 8) < rows, rows == 300);
    const auto added = head.run(head.inputs()), stored = head.run(head.inputs(), NAN, true);
    EXPECT_EQ(stored.dweight, added.dweight) << rows;
  }
}

TEST(LinearCrossEntropy, OutputsMayBeAbsent) {
  const Head head{.rows = 12, .width = 3, .vocabulary = 8};
  const Values in = head.inputs();
  Context context({}, 1);
  const Tensor hidden = tensor_of(context, DType::kF64, {12, 3}, in.at("hidden"));
  const Tensor weight = tensor_of(context, DType::kF64, {8, 3}, in.at("weight"));
  const Tensor label = Tensor::from<int32_t>(context, head.labels(), {12});
  const LossSum total =
      linear_cross_entropy(context, {.hidden = hidden, .weight = weight, .labels = label});
  EXPECT_EQ(total.sum, head.run(in).total.sum);
}

TEST(LinearCrossEntropy, DeferredIsTheSame) {
  const Head head{.rows = 9, .width = 4, .vocabulary = 7, .scale = 0.25};
  const Values in = head.inputs();
  const auto expected = head.run(in);
  Context context({}, 2);
  const Tensor hidden = tensor_of(context, head.dtype, {9, 4}, in.at("hidden")),
               weight = tensor_of(context, head.dtype, {7, 4}, in.at("weight"));
  const Tensor labels = Tensor::from<int32_t>(context, head.labels(), {9}),
               scale = Tensor::from<double>(context, {0.25}, {1});
  const Tensor losses(context, DType::kF64, {9}), dhidden(context, head.dtype, {9, 4});
  const DeferredLoss deferred{.scale = scale, .losses = losses};
  const LossSum nothing = linear_cross_entropy(context, {.hidden = hidden,
                                                         .weight = weight,
                                                         .labels = labels,
                                                         .dhidden = dhidden,
                                                         .deferred = &deferred});
  EXPECT_EQ(nothing.count, 0);
  EXPECT_EQ(values_of(losses), expected.loss);
  EXPECT_EQ(values_of(dhidden), expected.dhidden);
}

TEST(LinearCrossEntropy, HugeLogitsStayFinite) {
  Context context({}, 1);
  const Tensor hidden = Tensor::from<float>(context, {1000, 1000}, {2, 1});
  const Tensor weight = Tensor::from<float>(context, {1, -1, 1}, {3, 1});
  const Tensor label = Tensor::from<int32_t>(context, {0, 1}, {2}),
               predicted(context, DType::kI32, {2});
  const Tensor loss(context, DType::kF32, {2}), dhidden(context, DType::kF32, {2, 1});
  linear_cross_entropy(context, {.hidden = hidden,
                                 .weight = weight,
                                 .labels = label,
                                 .loss = loss,
                                 .predicted = predicted,
                                 .dhidden = dhidden});
  EXPECT_TRUE(testing::close(loss, {std::log(2.0), 2000 + std::log(2.0)}, 1e-6));
  EXPECT_EQ(values_of(predicted), (std::vector<double>{0, 0})) << "the first of equal logits";
  EXPECT_EQ(values_of(dhidden), (std::vector<double>{0, 2}));
}

TEST(LinearCrossEntropy, NanIsReportedNotHidden) {
  Context context({}, 1);
  const Tensor hidden = Tensor::from<float>(context, {std::nanf("")}, {1, 1});
  const Tensor weight = Tensor::from<float>(context, {1, -1, 1}, {3, 1});
  const Tensor label = Tensor::from<int32_t>(context, {0}, {1}),
               predicted(context, DType::kI32, {1});
  const LossSum total = linear_cross_entropy(
      context, {.hidden = hidden, .weight = weight, .labels = label, .predicted = predicted});
  EXPECT_TRUE(std::isnan(total.sum));
  EXPECT_LT(values_of(predicted)[0], 3);
}

TEST(LinearCrossEntropy, RefusesLabelsOutsideTheVocabulary) {
  Context context({}, 1);
  const Tensor hidden = Tensor::zeros(context, DType::kF32, {2, 1}),
               weight = Tensor::zeros(context, DType::kF32, {3, 1});
  for (const int32_t bad : {-2, 3, 1 << 30}) {
    const Tensor label = Tensor::from<int32_t>(context, {0, bad}, {2});
    try {
      linear_cross_entropy(context, {.hidden = hidden, .weight = weight, .labels = label});
      FAIL() << bad << " was accepted";
    } catch (const core::Error& error) {
      EXPECT_NE(std::string(error.what()).find(std::to_string(bad) + " in row 1"),
                std::string::npos)
          << error.what();
    }
  }
}

}  // namespace
}  // namespace longhaul::kernels
