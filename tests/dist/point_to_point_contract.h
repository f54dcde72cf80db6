// What every communicator must do with messages between two ranks.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "tests/dist/rank_values.h"
#include "tests/support/rank_case.h"

namespace longhaul::test {

using dist::Communicator;
using dist::Pending;

/// 0, 1, odd, about the border between the small and the large algorithm, larger than a message of
/// the MPI tests.
inline std::vector<int64_t> sizes() { return {0, 1, 3, 17, 2047, 4097, 8193, 70001}; }

inline void messages_of_one_tag_keep_their_order(Communicator& group) {
  const int next = (group.rank() + 1) % group.size();
  const int previous = (group.rank() + group.size() - 1) % group.size();
  constexpr int kMessages = 20;
  std::vector<std::vector<int32_t>> out, in;
  std::vector<std::unique_ptr<Pending>> pending;
  for (int m = 0; m < kMessages; ++m) {
    out.push_back({group.rank(), m});
    in.push_back({-1, -1});
  }
  for (auto& message : out) pending.push_back(group.start_send(view_of(message), next, 7));
  for (auto& message : in) pending.push_back(group.start_receive(view_of(message), previous, 7));
  // Waited for from the last to the first: completion order must not matter.
  while (!pending.empty()) {
    pending.back()->wait();
    pending.pop_back();
  }
  for (int m = 0; m < kMessages; ++m)
    EXPECT_EQ(in[static_cast<size_t>(m)], (std::vector<int32_t>{previous, m}));
}

/// The sender is still sending while the receiver polls all its receives: each gets the message of
/// its place.
inline void receives_are_matched_in_the_order_of_their_start(Communicator& group) {
  constexpr int kMessages = 300;
  const int previous = (group.rank() + group.size() - 1) % group.size();
  std::vector<std::vector<int32_t>> out, in;
  for (int m = 0; m < kMessages; ++m) {
    out.push_back({m});
    in.push_back({-1});
  }
  std::vector<std::unique_ptr<Pending>> receives, sends;
  for (auto& message : in) receives.push_back(group.start_receive(view_of(message), previous, 5));
  for (auto& message : out) {
    sends.push_back(group.start_send(view_of(message), (group.rank() + 1) % group.size(), 5));
  }
  for (auto& receive : receives) receive->wait();
  for (auto& send : sends) send->wait();
  for (int m = 0; m < kMessages; ++m) ASSERT_EQ(in[static_cast<size_t>(m)][0], m);
}

inline void tags_are_kept_apart(Communicator& group) {
  const int peer =
      group.size() - 1 - group.rank();  // the middle rank of an odd group talks to itself
  std::vector<int32_t> low{group.rank()}, high{100 + group.rank()}, got_low{-1}, got_high{-1};
  auto send_low = group.start_send(view_of(low), peer, 0);
  auto send_high = group.start_send(view_of(high), peer, Communicator::kLargestTag);
  auto receive_high = group.start_receive(view_of(got_high), peer, Communicator::kLargestTag);
  receive_high->wait();
  group.receive(view_of(got_low), peer, 0);
  EXPECT_EQ(got_low[0], peer);
  EXPECT_EQ(got_high[0], 100 + peer);
}

/// Rank r sends (r + to + place) % 3 messages to every rank, itself among them, in two calls that
/// are under way together; sizes differ from place to place, the last is empty.
inline void transfers_meet_by_their_place(Communicator& group) {
  const auto messages = [&](int from, int to) { return (from + to) % 3; };
  const auto size = [](int call, int place) {
    return place == 2 ? 0 : 5000 * call + 7 * place + 1;
  };
  const auto value = [](int from, int to, int call, int place) {
    return ((from * 10 + to) * 10 + call) * 10 + place;
  };
  struct Arriving {
    std::vector<int32_t> values;
    int expected = 0;
  };
  std::vector<std::vector<int32_t>> out;
  std::vector<Arriving> in;
  out.reserve(100), in.reserve(100);
  std::vector<std::unique_ptr<Pending>> pending;
  for (int call = 0; call < 2; ++call) {
    std::vector<dist::Transfer> sends, receives;
    for (int peer = 0; peer < group.size(); ++peer) {
      for (int place = 0; place < messages(group.rank(), peer); ++place) {
        out.emplace_back(size(call, place), value(group.rank(), peer, call, place));
        sends.push_back({view_of(out.back()), peer});
      }
      for (int place = 0; place < messages(peer, group.rank()); ++place) {
        in.push_back(
            {std::vector<int32_t>(size(call, place), -1), value(peer, group.rank(), call, place)});
        receives.push_back({view_of(in.back().values), peer});
      }
    }
    pending.push_back(group.start_transfers(sends, receives));
  }
  std::vector<float> beside(100, 1.0f);
  const auto sum = group.start_all_reduce_sum(view_of(beside));
  while (!pending[0]->test()) {
  }
  const auto arrived = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      expect_values(
          in[i].values, [&](int64_t) { return in[i].expected; }, "a transfer");
    }
  };
  arrived(0, in.size() / 2);  // as many in either call
  pending[1]->wait();
  sum->wait();
  arrived(in.size() / 2, in.size());
  EXPECT_EQ(beside[99], static_cast<float>(group.size()));
  group.start_transfers({}, {})->wait();
}

inline void receives_may_be_posted_first(Communicator& group) {
  const int peer = group.size() - 1 - group.rank();
  for (int64_t count : sizes()) {
    auto out = filled<float>(count, [&](int64_t i) { return group.rank() + i % 1000; });
    std::vector<float> in(static_cast<size_t>(count), -1.0f);
    auto receive = group.start_receive(view_of(in), peer, 3);
    auto send = group.start_send(view_of(out), peer, 3);
    send->wait();
    receive->wait();
    expect_values(
        in, [&](int64_t i) { return peer + i % 1000; }, "from " + std::to_string(peer));
  }
}

inline std::vector<RankCase> point_to_point_contract() {
  return {{"messages_of_one_tag_keep_their_order", messages_of_one_tag_keep_their_order},
          {"receives_are_matched_in_the_order_of_their_start",
           receives_are_matched_in_the_order_of_their_start},
          {"tags_are_kept_apart", tags_are_kept_apart},
          {"transfers_meet_by_their_place", transfers_meet_by_their_place},
          {"receives_may_be_posted_first", receives_may_be_posted_first}};
}

}  // namespace longhaul::test
