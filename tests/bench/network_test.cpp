#include "bench/scaling/network.h"

#include <gtest/gtest.h>

#include <fstream>
#include <utility>

#include "bench/scaling/calibration.h"
#include "bench/scaling/collectives.h"
#include "bench/scaling/device.h"
#include "bench/scaling/shared_links.h"
#include "kernels/core/error.h"

namespace longhaul::bench {
namespace {

std::string file_with(const std::string& name, const std::string& text) {
  const std::string path = ::testing::TempDir() + name;
  std::ofstream(path) << text;
  return path;
}

template <class Read>
std::string problem_of(const Read& read) {
  try {
    read();
  } catch (const core::InputError& error) {
    return error.what();
  }
  return "none";
}

TEST(NetworkFile, IsRead) {
  const Network network = read_network(file_with("network.yaml", R"(
name: n
ranks_per_node: 4
inside: {latency_s: 1e-6, bytes_per_second: 4e11, share: 0.5}
between: {latency_s: 5e-6, bytes_per_second: 5e10}
links_per_node: 2
eager_bytes: 100
collectives: ring
overlaps: false
shares_links: true
)"));
  EXPECT_EQ(network.inside.rate(), 2e11);
  EXPECT_EQ(network.rate_out(), 2.5e10);  // four ranks share two links
  EXPECT_EQ(network.collectives, Collectives::kRing);
  EXPECT_FALSE(network.overlaps);
  EXPECT_TRUE(network.shares_links);
  EXPECT_EQ(network.link(3, 4).latency_s, 5e-6);
  EXPECT_EQ(network.link(4, 7).latency_s, 1e-6);
}

TEST(NetworkFile, EveryProblemIsNamedWithItsLine) {
  const std::string path = file_with(
      "bad.yaml", "ranks_per_node: 0\nbetween: {latency_s: -1}\nlink: 3\ncollectives: tree\n");
  const std::string problem = problem_of([&] { read_network(path); });
  for (const char* part :
       {"bad.yaml:1: ranks_per_node", "bad.yaml:2: between.latency_s",
        "bad.yaml:2: between.bytes_per_second: is missing", "link", "collectives"}) {
    EXPECT_NE(problem.find(part), std::string::npos) << part << " in\n" << problem;
  }
  EXPECT_NE(problem_of([] { read_network("/nowhere.yaml"); }), "none");
}

TEST(DeviceFile, NeedsItsCeilings) {
  const std::string problem =
      problem_of([] { read_device(file_with("device.yaml", "dtype: bf16\nlinear_share: 2\n")); });
  for (const char* part : {"flops_per_second: is missing", "bytes_per_second: is missing",
                           "device.yaml:2: linear_share"}) {
    EXPECT_NE(problem.find(part), std::string::npos) << part << " in\n" << problem;
  }
}

TEST(MeasuredOps, AreTakenAndHostileLinesNamed) {
  Device device{.dtype = ElementType::kF32};
  use_measured_ops(file_with("ops.jsonl",
                             R"({"bench":"ceilings","dtype":"fp32"}
{"bench":"op","op":"adamw","dtype":"fp32","gbytes_per_second":2.5}
{"bench":"op","op":"linear forward","dtype":"fp32","gbytes_per_second":1,"tflops":0.25}
)"),
                   device);
  EXPECT_EQ(device.measured.at("adamw").bytes_per_second, 2.5e9);
  EXPECT_EQ(device.measured.at("linear forward").flops_per_second, 2.5e11);

  const auto problem = [&](const std::string& text) {
    return problem_of([&] { use_measured_ops(file_with("bad.jsonl", text), device); });
  };
  EXPECT_NE(problem("{\n").find("bad.jsonl:1: is no line of bench_ops"), std::string::npos);
  EXPECT_NE(problem("\n{\"bench\":\"op\",\"op\":1,\"dtype\":\"fp32\",\"gbytes_per_second\":1}")
                .find("bad.jsonl:2"),
            std::string::npos);
  EXPECT_NE(problem(R"({"bench":"op","op":"x","dtype":"bf16","gbytes_per_second":1})")
                .find("measured in bf16, expected fp32"),
            std::string::npos);
  EXPECT_NE(problem(R"({"bench":"op","op":"x","dtype":"fp32","gbytes_per_second":-1})")
                .find("a rate of -1"),
            std::string::npos);
}

TEST(Message, ShakesHandsAboveTheEagerLimit) {
  const Network network{
      .between = {.latency_s = 1, .bytes_per_second = 10}, .message_s = 0.25, .eager_bytes = 20};
  // Eager: overhead, transfer, latency.
  const Passage eager = pass_message(network, {.from = 0, .to = 1, .bytes = 20, .sender_ready = 3});
  EXPECT_DOUBLE_EQ(eager.sent, 5.25);
  EXPECT_DOUBLE_EQ(eager.arrived, 6.25);
  // Request at 4.25, answered at once, answer at 5.25.
  EXPECT_DOUBLE_EQ(pass_message(network, {.from = 0, .to = 1, .bytes = 30, .sender_ready = 3}).sent,
                   8.25);
  // A receiver that looks at 7 answers then; a link that is taken until 20 sends then.
  EXPECT_DOUBLE_EQ(
      pass_message(network,
                   {.from = 0, .to = 1, .bytes = 30, .sender_ready = 3, .receiver_ready = 7})
          .arrived,
      12);
  EXPECT_DOUBLE_EQ(
      pass_message(network, {.from = 0, .to = 1, .bytes = 30, .sender_ready = 3, .link_free = 20})
          .sent,
      23);
}

TEST(SharedLinks, TurnsAmongReceiversAndOrderWithinOne) {
  const Network network{.between = {.latency_s = 10, .bytes_per_second = 9000}};
  SharedLinks links(network);
  links.send({.from = 0, .to = 1, .bytes = 18000, .at = 0, .label = 7});
  links.send({.from = 0, .to = 1, .bytes = 9000, .at = 0, .label = 8});
  links.send({.from = 0, .to = 2, .bytes = 9000, .at = 0.5, .label = 9});
  // To 1, to 2, to 1, to 1: a second each.
  for (const auto& [label, at] : {std::pair{9, 12.0}, {7, 13.0}, {8, 14.0}}) {
    const auto arrival = links.next_arrival();
    ASSERT_TRUE(arrival);
    EXPECT_EQ(arrival->label, label);
    EXPECT_EQ(arrival->at, at);
  }
  EXPECT_FALSE(links.next_arrival());
}

TEST(SharedLinks, TwoSendersWaitForTheReceiversLink) {
  const Network network{.between = {.latency_s = 10, .bytes_per_second = 9000}};
  SharedLinks links(network);
  links.send({.from = 0, .to = 2, .bytes = 18000, .at = 0});
  links.send({.from = 1, .to = 2, .bytes = 18000, .at = 0.5});
  EXPECT_EQ(links.next_arrival()->at, 13);  // second, behind the other's first
  EXPECT_EQ(links.next_arrival()->at, 14);
}

TEST(HostCollectives, OfManyRanksTakeALatencyARound) {
  const Network network{.between = {.latency_s = 1, .bytes_per_second = 8}, .message_s = 0.25};
  const CollectiveCost sum = host_all_reduce_cost(network, {.ranks = 1024}, 8);
  EXPECT_DOUBLE_EQ(sum.latency, 10);
  EXPECT_DOUBLE_EQ(sum.busy, 10 * 1.25);
  EXPECT_DOUBLE_EQ(sum.bytes, 80);
  // 476 ranks join others first and get the result last: two rounds more than 1024.
  EXPECT_DOUBLE_EQ(host_all_reduce_cost(network, {.ranks = 1500}, 8).latency, 12);
  // Messages of 1, 2, 4, … numbers.
  const CollectiveCost gather = all_gather_cost(network, {.ranks = 1500}, 8);
  EXPECT_DOUBLE_EQ(gather.latency, 11);
  EXPECT_DOUBLE_EQ(gather.bytes, 1499 * 8);
  EXPECT_DOUBLE_EQ(reduce_scatter_cost(network, {.ranks = 1024}, 8).latency, 10);
  // Few ranks, and large buffers, go directly.
  EXPECT_DOUBLE_EQ(host_all_reduce_cost(network, {.ranks = 16}, 8).latency, 1);
  EXPECT_DOUBLE_EQ(host_all_reduce_cost(network, {.ranks = 32}, 1e6).latency, 2);
}

/// 2 nodes × 4 ranks; numbers of the comments are bytes and seconds.
Network two_levels(Collectives collectives) {
  return {.ranks_per_node = 4,
          .inside = {.latency_s = 0.125, .bytes_per_second = 100},
          .between = {.latency_s = 1, .bytes_per_second = 10},
          .links_per_node = 4,
          .collectives = collectives};
}

TEST(Collective, DirectSendsToEveryPeer) {
  const Network network = two_levels(Collectives::kDirect);
  const CollectiveCost all = all_gather_cost(network, {.ranks = 8}, 20);
  EXPECT_DOUBLE_EQ(all.busy, 4 * 20 / 10.0);  // the far ones; the near ones travel meanwhile
  EXPECT_DOUBLE_EQ(all.latency, 1);
  EXPECT_DOUBLE_EQ(all.bytes, 7 * 20);
  const CollectiveCost near = all_gather_cost(network, {.ranks = 4}, 20);
  EXPECT_DOUBLE_EQ(near.seconds(), 3 * 20 / 100.0 + 0.125);
  // Small: everybody's whole. Large: two rounds of an eighth.
  EXPECT_DOUBLE_EQ(all_reduce_cost(network, {.ranks = 8}, 800).seconds(), 4 * 800 / 10.0 + 1);
  EXPECT_DOUBLE_EQ(all_reduce_cost(network, {.ranks = 8}, 80'000).seconds(),
                   2 * (4 * 10'000 / 10.0 + 1));
  EXPECT_DOUBLE_EQ(reduce_scatter_cost(network, {.ranks = 8}, 80'000).seconds(),
                   4 * 10'000 / 10.0 + 1);
  EXPECT_DOUBLE_EQ(all_to_all_cost(network, {.ranks = 8}, 140).seconds(), 4 * 20 / 10.0 + 1);
  EXPECT_DOUBLE_EQ(broadcast_cost(network, {.ranks = 8}, 20).seconds(), 3 * (20 / 10.0 + 1));
  EXPECT_DOUBLE_EQ(broadcast_cost(network, {.ranks = 8}, 80'000).seconds(),
                   2 * (4 * 10'000 / 10.0 + 1));  // handed out in eighths, then gathered
  EXPECT_EQ(all_gather_cost(network, {.ranks = 1}, 20).seconds(), 0);
}

TEST(Collective, RingsUseAllLinksOfANode) {
  const Network network = two_levels(Collectives::kRing);
  const CollectiveCost all = all_gather_cost(network, {.ranks = 8}, 20);
  // Seven pieces at min(100, 4 links × 10); six hops within nodes, one between them.
  EXPECT_DOUBLE_EQ(all.busy, 7 * 20 / 40.0 + 6 * 0.125 + 1);
  EXPECT_EQ(all.latency, 0);
  EXPECT_DOUBLE_EQ(all_gather_cost(network, {.ranks = 4}, 20).busy, 3 * 20 / 100.0 + 3 * 0.125);
  EXPECT_DOUBLE_EQ(all_reduce_cost(network, {.ranks = 8}, 160).seconds(), 2 * all.seconds());
  EXPECT_DOUBLE_EQ(all_reduce_cost(network, {.ranks = 8}, 160).bytes, 2 * 7 * 20);
}

}  // namespace
}  // namespace longhaul::bench
