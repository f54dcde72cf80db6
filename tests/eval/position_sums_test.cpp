#include "eval/position_sums.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace longhaul::eval {
namespace {

TEST(LogBuckets, CoverEveryPositionOnce) {
  for (int64_t length : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 100, 4096, 100000}) {
    int64_t position = 0;
    for (const Bucket& bucket : log_buckets(length)) {
      EXPECT_EQ(bucket.begin, position);
      EXPECT_GT(bucket.end, bucket.begin);
      position = bucket.end;
    }
    EXPECT_EQ(position, length);
  }
}

TEST(LogBuckets, EdgesArePowersOfTwoAndHalfWayBetween) {
  std::vector<int64_t> ends;
  for (const Bucket& bucket : log_buckets(70)) ends.push_back(bucket.end);
  EXPECT_EQ(ends, (std::vector<int64_t>{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 70}));
}

TEST(LogBuckets, LengthsNearTheLargestIntegerDoNotOverflow) {
  const auto buckets = log_buckets(int64_t{1} << 61);
  EXPECT_EQ(buckets.back().end, int64_t{1} << 61);
  EXPECT_LT(buckets.size(), 130u);
}

TEST(PositionSums, MeansErrorsAndAccuracyOfTwoSequences) {
  const PositionSums sums(4, {}, true);
  std::vector<double> numbers(2 * static_cast<size_t>(sums.width()));
  const std::span<double> both(numbers);
  const auto width = static_cast<size_t>(sums.width());
  const std::vector<int32_t> labels{5, -1, 6, 7}, hit{5, 9, 0, 7}, none{0, 0, 0, 0};
  const std::vector<double> first{1, 100, 2, 4}, second{3, 100, 2, 8};
  sums.add({.position = 0, .labels = labels, .predicted = hit, .losses = first}, both.first(width));
  sums.add({.position = 0, .labels = labels, .predicted = none, .losses = second},
           both.last(width));
  PositionCurve curve;
  sums.finish(numbers, curve);
  ASSERT_EQ(curve.buckets.size(), 4u);
  EXPECT_EQ(curve.buckets[0].count, 2);
  EXPECT_DOUBLE_EQ(curve.buckets[0].loss, 2);
  EXPECT_DOUBLE_EQ(curve.buckets[0].loss_error, 1);  // deviation √2, over √2
  EXPECT_DOUBLE_EQ(curve.buckets[0].accuracy, 0.5);
  EXPECT_DOUBLE_EQ(curve.buckets[0].accuracy_error, 0.5);
  EXPECT_EQ(curve.buckets[1].count, 0);
  EXPECT_EQ(curve.buckets[1].loss, 0);
  EXPECT_DOUBLE_EQ(curve.buckets[3].loss, 6);
  EXPECT_DOUBLE_EQ(curve.buckets[3].loss_error, 2);
  EXPECT_DOUBLE_EQ(curve.loss, 20.0 / 6);
  EXPECT_DOUBLE_EQ(curve.accuracy, 2.0 / 6);
  EXPECT_TRUE(curve.states.empty());  // a model without recurrent states
}

double unweighted_error(const std::vector<double>& means) {
  const auto n = static_cast<double>(means.size());
  double mean = 0, squares = 0;
  for (const double value : means) mean += value / n;
  for (const double value : means) squares += std::pow(value - mean, 2);
  return std::sqrt(squares / (n - 1) / n);
}

/// One sequence holds 20 labels, five hold 2 or 4.
TEST(PositionSums, ErrorIsThatOfTheMeanOverLabelsBySequence) {
  const PositionSums sums(96, {}, false);
  const auto width = static_cast<size_t>(sums.width());
  const std::vector<size_t> counts{20, 2, 4, 2, 4, 2};
  std::vector<double> numbers(counts.size() * width), losses, own, weights;
  for (size_t s = 0; s < counts.size(); ++s) {
    std::vector<int32_t> labels(32, -1), predicted(32, 0);
    std::fill_n(labels.begin(), counts[s], 1);
    own = std::vector<double>(32, 0.1 * static_cast<double>(s));
    sums.add({.position = 64, .labels = labels, .predicted = predicted, .losses = own},
             std::span(numbers).subspan(s * width, width));
    losses.push_back(own[0]);
    weights.push_back(static_cast<double>(counts[s]));
  }
  PositionCurve curve;
  sums.finish(numbers, curve);
  const Bucket& bucket = *std::find_if(curve.buckets.begin(), curve.buckets.end(),
                                       [](const Bucket& each) { return each.begin == 64; });
  ASSERT_EQ(bucket.count, 34);
  double mean = 0, squares = 0;
  for (size_t s = 0; s < losses.size(); ++s) mean += weights[s] * losses[s] / 34;
  for (size_t s = 0; s < losses.size(); ++s) {
    squares += std::pow(weights[s] * (losses[s] - mean) / 34, 2);
  }
  EXPECT_NEAR(bucket.loss, mean, 1e-12);
  EXPECT_NEAR(bucket.loss_error, std::sqrt(6.0 / 5 * squares), 1e-12);
  // The mean over sequences, each counted once, is another number with another error.
  EXPECT_GT(std::abs(bucket.loss_error - unweighted_error(losses)), 0.1 * bucket.loss_error);
}

TEST(PositionSums, LostLossIsNotHidden) {
  const PositionSums sums(2, {}, true);
  std::vector<double> numbers(static_cast<size_t>(sums.width()));
  const std::vector<int32_t> labels{1, 1};
  const std::vector<double> losses{1, std::nan("")};
  sums.add({.position = 0, .labels = labels, .predicted = labels, .losses = losses}, numbers);
  PositionCurve curve;
  sums.finish(numbers, curve);
  EXPECT_EQ(curve.buckets[0].loss, 1);
  EXPECT_TRUE(std::isnan(curve.buckets[1].loss));
  EXPECT_TRUE(std::isnan(curve.loss));
}

}  // namespace
}  // namespace longhaul::eval
