#include "data/read_ahead.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "kernels/core/error.h"

namespace longhaul::data {
namespace {

using namespace std::chrono_literals;

/// Batches 0, 1, 2, …; the position is the number of the next one.
class Counting final : public BatchSource {
 public:
  explicit Counting(std::atomic<int>& reads, int fails_at = -1)
      : reads_(reads), fails_at_(fails_at) {}
  Batch next() override {
    ++reads_;
    if (next_ == fails_at_) {
      fails_at_ = -1;
      ++next_;  // a source that fails may stand anywhere
      throw core::Error("disk gone");
    }
    return {.sequences = next_++};
  }
  std::string position() const override { return std::to_string(next_); }
  void restore(const std::string& position) override { next_ = std::stoi(position); }
  int64_t vocabulary() const override { return 5; }

 private:
  std::atomic<int>& reads_;
  int fails_at_, next_ = 0;
};

TEST(ReadAhead, ReadsSoManyBatchesBeforeTheyAreAskedFor) {
  std::atomic<int> reads = 0;
  const auto source = read_ahead(std::make_unique<Counting>(reads), 3);
  EXPECT_EQ(source->vocabulary(), 5);
  EXPECT_EQ(source->next().sequences, 0);
  for (int tries = 0; tries < 500 && reads < 4; ++tries) std::this_thread::sleep_for(10ms);
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(reads, 4);
  EXPECT_EQ(source->position(), "1") << "of what was handed out, not of what was read";
}

TEST(ReadAhead, AFailureComesWithItsBatchWhichIsThenTriedAgain) {
  std::atomic<int> reads = 0;
  const auto source = read_ahead(std::make_unique<Counting>(reads, 2), 3);
  EXPECT_EQ(source->next().sequences, 0);
  EXPECT_EQ(source->next().sequences, 1);
  EXPECT_THROW(source->next(), core::Error);
  EXPECT_EQ(source->position(), "2");
  EXPECT_EQ(source->next().sequences, 2);
  EXPECT_EQ(source->next().sequences, 3);
}

TEST(ReadAhead, EndsWhileTheReaderWaits) {
  std::atomic<int> reads = 0;
  auto source = read_ahead(std::make_unique<Counting>(reads), 2);
  source->next();
  source.reset();
  const int read = reads;
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(reads, read);
}

}  // namespace
}  // namespace longhaul::data
