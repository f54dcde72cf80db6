// What a sharded step asks of the ranks' communicator: the number of collectives does not grow with
// the ranks, and nothing is summed that only one rank has.
#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "dist/thread_communicator.h"
#include "trainer/optimizer.h"

namespace longhaul::trainer {
namespace {

using core::TensorView;
using dist::Pending;
using Started = std::unique_ptr<Pending>;

/// Hands everything on, and counts.
class Counting final : public dist::Communicator {
 public:
  explicit Counting(dist::Communicator& group) : group_(group) {}
  int rank() const override { return group_.rank(); }
  int size() const override { return group_.size(); }
  Started start_all_gather(TensorView own, TensorView gathered) override {
    ++gathers;
    return group_.start_all_gather(own, gathered);
  }
  Started start_broadcast(TensorView view, int root) override {
    ++others;
    return group_.start_broadcast(view, root);
  }
  Started start_all_reduce_sum(TensorView view) override {
    ++others;
    return group_.start_all_reduce_sum(view);
  }
  Started start_all_reduce_max(TensorView view) override {
    ++others;
    return group_.start_all_reduce_max(view);
  }
  Started start_reduce_scatter_sum(TensorView full, TensorView own) override {
    ++others;
    return group_.start_reduce_scatter_sum(full, own);
  }
  Started start_send(TensorView view, int peer, int tag) override {
    ++others;
    return group_.start_send(view, peer, tag);
  }
  Started start_receive(TensorView view, int peer, int tag) override {
    ++others;
    return group_.start_receive(view, peer, tag);
  }
  void barrier() override { group_.barrier(); }
  std::unique_ptr<Communicator> split(int color, int key) override {
    return group_.split(color, key);
  }

  int gathers = 0, others = 0;

 private:
  dist::Communicator& group_;
};

TEST(CollectivesOfAStep, AreOneForTheNormAndOneForEachBucket) {
  constexpr int64_t kElements = 1000;
  const std::vector<model::Parameter> list = {{.name = "a", .shape = {kElements}, .decay = true}};
  dist::run_thread_ranks(4, [&](dist::Communicator& threads) {
    Counting group(threads);
    core::Context context({}, 1);
    model::ParameterSet set(context, core::DType::kF32, list);
    const auto layout = optimizer_shards(set.values().elements(), 4, 256);
    ASSERT_FALSE(layout.buckets().back().even);
    Optimizer optimizer(context, set, {}, group, layout);
    optimizer.step(0.1, true);
    EXPECT_EQ(group.gathers, 1 + static_cast<int>(layout.buckets().size()));
    EXPECT_EQ(group.others, 0);
  });
}

}  // namespace
}  // namespace longhaul::trainer
