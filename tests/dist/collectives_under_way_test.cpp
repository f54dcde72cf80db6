// Many collectives under way at once, on one rank of three: the others' messages come only once it
// waits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "dist/gradient_reducer.h"
#include "dist/message_communicator.h"

namespace longhaul::dist {
namespace {

class LateProgress final : public Progress {
 public:
  bool broken() const override { return false; }
  void give_up(const std::string&) override {}

  int64_t waits = 0;  // messages posted before the last one have come
  int64_t tests = 0;  // of messages, so far
  int64_t expected = 0, most_expected = 0;

 private:
  uint64_t arrivals() override { return 0; }
  void idle(const Wait&, uint64_t) override { ++waits; }
  void finished_waiting() override {}
};

class Sent final : public Message {
 public:
  bool test() override { return true; }
};

class Expected final : public Message {
 public:
  explicit Expected(LateProgress& progress) : progress_(progress), posted_(progress.waits) {
    progress_.most_expected = std::max(progress_.most_expected, ++progress_.expected);
  }
  ~Expected() override { --progress_.expected; }
  bool test() override {
    ++progress_.tests;
    return progress_.waits > posted_;
  }

 private:
  LateProgress& progress_;
  int64_t posted_;
};

/// What it receives is zero.
class LateTransport final : public Transport {
 public:
  explicit LateTransport(LateProgress& progress) : progress_(progress) {}
  int rank() const override { return 0; }
  int size() const override { return 3; }
  Progress& progress() override { return progress_; }
  std::unique_ptr<Message> start_send(const Envelope&, const void*, int64_t) override {
    return std::make_unique<Sent>();
  }
  std::unique_ptr<Message> start_receive(const Envelope&, void* data, int64_t bytes) override {
    std::memset(data, 0, static_cast<size_t>(bytes));
    return std::make_unique<Expected>(progress_);
  }
  std::unique_ptr<Transport> split(const Partition&) override { return nullptr; }

 private:
  LateProgress& progress_;
};

constexpr int64_t kPeers = 2;
constexpr int64_t kTags = 4096;

class CollectivesUnderWay : public ::testing::Test {
 protected:
  core::TensorView numbers() { return {numbers_.data(), core::DType::kF32, {4}}; }
  void start(int64_t count) {
    for (int64_t i = 0; i < count; ++i) pending_.push_back(group_.start_all_reduce_sum(numbers()));
  }

  LateProgress progress_;
  MessageCommunicator group_{std::make_unique<LateTransport>(progress_)};
  std::vector<float> numbers_ = std::vector<float>(4, 1.0f);
  std::vector<std::unique_ptr<Pending>> pending_;
};

TEST_F(CollectivesUnderWay, StartingOneCostsTheSameHoweverManyThereAre) {
  start(kTags);
  EXPECT_LT(progress_.tests, 32 * kTags);
}

TEST_F(CollectivesUnderWay, AreNeverMoreThanThereAreTags) {
  start(kTags);
  EXPECT_DEATH(start(1), "4096 collectives are under way already");
  for (const auto& each : pending_) each->wait();
  start(kTags);
}

class ReducerUnderWay : public CollectivesUnderWay {
 protected:
  static constexpr int64_t kBucket = 4, kBuckets = 1000, kMost = 64;
  std::vector<float> gradients_ = std::vector<float>(kBucket * kBuckets, 1.0f);
  GradientReducer reducer_{
      group_, {gradients_.data(), core::DType::kF32, {kBucket * kBuckets}}, kBucket * 4};
};

TEST_F(ReducerUnderWay, DoesNotWaitWhileItHasFew) {
  const int64_t end = kBucket * kBuckets;
  reducer_.ready(end - kMost * kBucket, end);
  EXPECT_EQ(progress_.waits, 0);
  EXPECT_EQ(progress_.expected, kMost * kPeers);
}

TEST_F(ReducerUnderWay, WaitsForItsOldestWhereItHasMany) {
  for (int step = 0; step < 2; ++step) {
    for (int64_t end = kBucket * kBuckets; end > 0; end -= 10 * kBucket) {
      reducer_.ready(end - 10 * kBucket, end);
    }
    reducer_.finish();
    EXPECT_EQ(progress_.most_expected, kMost * kPeers);
    EXPECT_EQ(progress_.expected, 0);
    reducer_.begin_step();
  }
  EXPECT_EQ(gradients_, std::vector<float>(gradients_.size(), 1.0f));
}

}  // namespace
}  // namespace longhaul::dist
