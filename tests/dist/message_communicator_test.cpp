// How many messages a rank sends among many: one rank with a transport that answers at once.
#include "dist/message_communicator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dist/shard_gather.h"

namespace longhaul::dist {
namespace {

class Done final : public Message {
 public:
  bool test() override { return true; }
};

class NoWaiting final : public Progress {
 public:
  bool broken() const override { return false; }
  void give_up(const std::string&) override {}

 private:
  uint64_t arrivals() override { return 0; }
  void idle(const Wait&, uint64_t) override {}
  void finished_waiting() override {}
};

/// One of many ranks; what it receives is zero.
class CountingTransport final : public Transport {
 public:
  struct Sent {
    int64_t messages = 0, bytes = 0;
  };
  CountingTransport(int rank, int ranks, Progress& progress, Sent& sent)
      : rank_(rank), ranks_(ranks), progress_(progress), sent_(sent) {}
  int rank() const override { return rank_; }
  int size() const override { return ranks_; }
  Progress& progress() override { return progress_; }
  std::unique_ptr<Message> start_send(const Envelope& to, const void*, int64_t bytes) override {
    EXPECT_TRUE(to.peer >= 0 && to.peer < ranks_ && to.peer != rank_) << to.peer;
    sent_.messages += 1;
    sent_.bytes += bytes;
    return std::make_unique<Done>();
  }
  std::unique_ptr<Message> start_receive(const Envelope&, void* data, int64_t bytes) override {
    if (bytes > 0) std::memset(data, 0, static_cast<size_t>(bytes));
    return std::make_unique<Done>();
  }
  std::unique_ptr<Transport> split(const Partition&) override { return nullptr; }

 private:
  int rank_, ranks_;
  Progress& progress_;
  Sent& sent_;
};

CountingTransport::Sent most_sent(int ranks, const std::function<void(Communicator&)>& body) {
  CountingTransport::Sent most;
  for (int rank = 0; rank < ranks; ++rank) {
    NoWaiting progress;
    CountingTransport::Sent sent;
    MessageCommunicator world(std::make_unique<CountingTransport>(rank, ranks, progress, sent));
    body(world);
    most.messages = std::max(most.messages, sent.messages);
    most.bytes = std::max(most.bytes, sent.bytes);
  }
  return most;
}

const auto sum_a_number = [](Communicator& world) { world.sum(1.0); };
const auto wait_for_all = [](Communicator& world) { world.barrier(); };
const auto gather_numbers = [](Communicator& world) {
  double own = 1;
  std::vector<double> all(static_cast<size_t>(world.size()));
  world.all_gather({&own, core::DType::kF64, {1}}, {all.data(), core::DType::kF64, {world.size()}});
};

TEST(MessagesOfARank, GrowWithTheLogarithmAmongMany) {
  EXPECT_EQ(most_sent(1024, sum_a_number).messages, 10);
  EXPECT_EQ(most_sent(1500, sum_a_number).messages, 11);  // 476 give back the result
  EXPECT_EQ(most_sent(1500, wait_for_all).messages, 11);
  EXPECT_EQ(most_sent(1500, gather_numbers).messages, 11);
  EXPECT_EQ(most_sent(1500, gather_numbers).bytes, 1499 * 8);
}

TEST(MessagesOfARank, GoToEveryOtherAmongFew) {
  EXPECT_EQ(most_sent(16, sum_a_number).messages, 15);
  EXPECT_EQ(most_sent(16, wait_for_all).messages, 15);
  EXPECT_EQ(most_sent(16, gather_numbers).messages, 15);
}

TEST(MessagesOfARank, ShareOutLargeBuffers) {
  constexpr int kRanks = 20;
  constexpr int64_t kElements = int64_t{1} << 20;
  std::vector<float> values(kElements);
  const auto sent = most_sent(kRanks, [&](Communicator& world) {
    world.all_reduce_sum({values.data(), core::DType::kF32, {kElements}});
  });
  EXPECT_EQ(sent.messages, 2 * (kRanks - 1));
  EXPECT_NEAR(static_cast<double>(sent.bytes), 2.0 * kElements * 4 * (kRanks - 1) / kRanks, 4096);
}

/// ZeRO-1's last bucket: 1499 blocks of 16 elements and a part of one.
TEST(MessagesOfARank, GrowWithTheLogarithmForShardsThatAreNotEven) {
  constexpr int64_t kElements = 1499 * 16 + 5;
  const ShardLayout layout({.elements = kElements, .ranks = 1500, .bucket = 1, .block = 16});
  std::vector<float> values(kElements), padding(static_cast<size_t>(layout.padded()));
  const auto sent = most_sent(1500, [&](Communicator& world) {
    ShardGather gather(world, {values.data(), core::DType::kF32, {kElements}}, layout,
                       {{padding.data(), core::DType::kF32, {layout.padded()}}, core::copy_now});
    for (const auto& bucket : layout.buckets()) gather.start(bucket);
    gather.finish();
  });
  EXPECT_EQ(sent.messages, 11);
}

}  // namespace
}  // namespace longhaul::dist
