#include "eval/windows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>

#include "data/samplers.h"
#include "data/token_folder.h"
#include "dist/thread_communicator.h"
#include "eval/perplexity.h"
#include "kernels/core/tensor.h"
#include "model/init.h"
#include "tests/eval/scratch_folder.h"
#include "tests/eval/tiny_text.h"
#include "tests/support/random_tensor.h"

namespace longhaul::eval {
namespace {

constexpr int64_t kLength = 100;

/// Every label once, from a pass over its window alone: of windows half a window apart the first
/// one that ends after it. `sequence`: its tokens and the one that follows.
std::vector<double> losses_in_windows(model::LanguageModel& model,
                                      const std::vector<int32_t>& sequence, int64_t width) {
  core::Context& context = model.context();
  std::vector<double> losses;
  for (int64_t begin = 0; std::ssize(losses) < kLength; begin += width / 2) {
    const int64_t end = std::min(begin + width, kLength);
    const int64_t from = std::max<int64_t>(0, end - width);
    const auto part = [&](int64_t shift) {
      const auto first = sequence.begin() + from + shift;
      return core::Tensor::from(context, std::vector(first, first + end - from), {1, end - from});
    };
    const core::Tensor tokens = part(0), labels = part(1);
    const core::Tensor loss(context, core::DType::kF64, {1, end - from});
    model.forward({.tokens = tokens, .labels = labels, .loss = loss});
    const std::vector<double> found = testing::values_of(loss);
    losses.insert(losses.end(), found.begin() + std::ssize(losses) - from, found.end());
  }
  return losses;
}

class WindowsOnMesh : public ::testing::TestWithParam<Way> {
 protected:
  /// Of rank 0; all ranks must have found the same bits.
  PositionCurve evaluate(CurveOptions options) const {
    const Way& way = GetParam();
    options.length = kLength;
    options.piece = way.piece;
    options.batch = way.batch;
    std::mutex mutex;
    std::vector<PositionCurve> curves;
    dist::run_thread_ranks(way.mesh.data * way.mesh.sequence, [&](dist::Communicator& world) {
      const dist::Mesh mesh(world, way.mesh);
      core::Context context({}, 1);
      model::LanguageModel model(context, tiny_config(kVocabulary), core::DType::kF64);
      model::initialize(model, 3);
      PositionCurve curve = evaluate_text(mesh, model, data::TokenFolder(path_), options);
      const std::lock_guard lock(mutex);
      curves.push_back(std::move(curve));
    });
    for (const PositionCurve& curve : curves) EXPECT_EQ(curve.loss, curves.front().loss);
    return curves.front();
  }

  testing::ScratchFolder scratch_;
  std::filesystem::path path_ = write_tokens(scratch_, 300);
};

TEST_P(WindowsOnMesh, EqualPassesOverEachWindowAlone) {
  const data::TokenFolder folder(path_);
  core::Context context({}, 1);
  model::LanguageModel model(context, tiny_config(kVocabulary), core::DType::kF64);
  model::initialize(model, 3);
  // Odd, even, as long as a sequence, longer.
  for (const int64_t width : {2, 5, 16, 24, 100, 300}) {
    const PositionCurve curve = evaluate({.sequences = 5, .seed = 9, .window = width});
    EXPECT_EQ(curve.window, width);
    EXPECT_TRUE(curve.states.empty());
    std::vector<std::vector<double>> losses;
    for (int64_t begin : data::find_long_windows(folder, kLength, 5, 9).begins) {
      std::vector<int32_t> sequence(kLength + 1);
      folder.read(begin, sequence);
      losses.push_back(losses_in_windows(model, sequence, width));
    }
    for (const Bucket& bucket : curve.buckets) {
      double sum = 0;
      for (const auto& own : losses) {
        for (int64_t p = bucket.begin; p < bucket.end; ++p) sum += own[static_cast<size_t>(p)];
      }
      EXPECT_EQ(bucket.count, 5 * (bucket.end - bucket.begin)) << width;
      EXPECT_NEAR(bucket.loss, sum / static_cast<double>(bucket.count), 1e-10)
          << "windows of " << width << ", bucket from " << bucket.begin;
    }
  }
}

TEST_P(WindowsOnMesh, OfAWholeSequenceAreThePlainCurve) {
  const PositionCurve plain = evaluate({.sequences = 3, .seed = 9}),
                      whole = evaluate({.sequences = 3, .seed = 9, .window = kLength}),
                      narrow = evaluate({.sequences = 3, .seed = 9, .window = 8});
  for (size_t i = 0; i < plain.buckets.size(); ++i) {
    EXPECT_NEAR(whole.buckets[i].loss, plain.buckets[i].loss, 1e-10);
    const bool inside = plain.buckets[i].end <= 8;
    EXPECT_EQ(std::abs(narrow.buckets[i].loss - plain.buckets[i].loss) < 1e-10, inside);
  }
  // A partial file of one is not the other's, yet both read the same sequences.
  EXPECT_NE(whole.measured, plain.measured);
  EXPECT_EQ(sequences_read(whole.measured), sequences_read(plain.measured));
}

INSTANTIATE_TEST_SUITE_P(
    Ways, WindowsOnMesh,
    ::testing::Values(Way{"Whole", {1, 1}, 1000, 8}, Way{"OddPieces", {1, 1}, 7, 2},
                      Way{"SingleTokens", {1, 1}, 1, 5}, Way{"TwoSequenceRanks", {1, 2}, 16, 2},
                      Way{"ThreeSequenceRanks", {1, 3}, 23, 8}, Way{"SixDataRanks", {6, 1}, 32, 2},
                      Way{"DataTimesSequence", {2, 2}, 25, 1}),
    [](const auto& test) { return test.param.name; });

/// A label is predicted from a window or from half of it at least.
TEST(Windows, CountEveryPositionOnceAndAfterHalfAWindow) {
  for (const int64_t length : {1, 2, 3, 7, 63, 64, 65, 200}) {
    for (const int64_t width : {2, 3, 5, 8, 64, 65}) {
      const Windows windows(length, width);
      int64_t counted = 0;
      for (int64_t w = 0; w < windows.count(); ++w) {
        const Window window = windows.at(w);
        EXPECT_EQ(window.counted, counted);
        const int64_t before = window.counted - window.begin;
        EXPECT_GE(before, w == 0 ? 0 : width - width / 2) << length << " in " << width;
        counted = window.begin + windows.width();
        EXPECT_GT(counted, window.counted);
      }
      EXPECT_EQ(counted, length) << "in windows of " << width;
    }
  }
}

TEST(Windows, AreDealtOutInTheStepsOfAStream) {
  const data::RecallTask task{.keys = 6, .values = 5, .reach = 4};
  LabelledTokens all;
  recall_reader(task, 1, 0)->next(50, all);
  const Windows windows(50, 8);
  WindowSource source(recall_reader(task, 1, 0), windows);
  for (int64_t begin = 0; begin < windows.count(); begin += 3) {
    const int64_t end = std::min(begin + 3, windows.count());
    source.advance(begin, end);
    for (int64_t w = begin; w < end; ++w) {
      const auto reader = source.reader(w);
      LabelledTokens part;
      for (int64_t at = 0; at < 8; at += 4) {
        reader->next(4, part);
        for (int64_t i = 0; i < 4; ++i) {
          const auto own = static_cast<size_t>(i);
          const int64_t position = windows.at(w).begin + at + i;
          const auto p = static_cast<size_t>(position);
          EXPECT_EQ(part.tokens[own], all.tokens[p]);
          EXPECT_EQ(part.reaches[own], all.reaches[p]);
          EXPECT_EQ(part.labels[own], position < windows.at(w).counted ? -1 : all.labels[p]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace longhaul::eval
