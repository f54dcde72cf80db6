// What every communicator must do. Expected values come from the rank formula, never from another
// communicator.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "tests/dist/point_to_point_contract.h"
#include "tests/dist/rank_values.h"
#include "tests/support/rank_case.h"

namespace longhaul::test {

template <class Body>
void for_each_dtype(const Body& body) {
  body(float{});
  body(double{});
  body(core::BFloat16{});
  body(int32_t{});
}

inline void sums_equal_the_formula(Communicator& group) {
  for_each_dtype([&](auto type) {
    using T = decltype(type);
    for (int64_t count : sizes()) {
      auto values = filled<T>(count, [&](int64_t i) { return small_value(group.rank(), i); });
      group.all_reduce_sum(view_of(values));
      const auto expected = [&](int64_t i) {
        int sum = 0;
        for (int r = 0; r < group.size(); ++r) sum += small_value(r, i);
        return sum;
      };
      expect_values(values, expected, "sum of " + std::to_string(count));
    }
  });
}

inline void maxima_equal_the_formula(Communicator& group) {
  for_each_dtype([&](auto type) {
    using T = decltype(type);
    for (int64_t count : sizes()) {
      // Which rank holds the maximum moves with the element; all values are negative.
      const auto value = [&](int rank, int64_t i) {
        return -1 - (rank + i) % group.size() - i % 3;
      };
      auto values = filled<T>(count, [&](int64_t i) { return value(group.rank(), i); });
      group.all_reduce_max(view_of(values));
      expect_values(
          values, [&](int64_t i) { return -1 - i % 3; }, "maximum of " + std::to_string(count));
    }
  });
}

inline void a_nan_survives_the_maximum(Communicator& group) {
  for (int holder = 0; holder < group.size(); ++holder) {
    std::vector<float> values{1, 2};
    if (group.rank() == holder) values[1] = std::numeric_limits<float>::quiet_NaN();
    group.all_reduce_max(view_of(values));
    EXPECT_EQ(values[0], 1);
    EXPECT_TRUE(std::isnan(values[1])) << "held by rank " << holder;
  }
}

inline void gather_keeps_rank_order(Communicator& group) {
  for_each_dtype([&](auto type) {
    using T = decltype(type);
    for (int64_t count : sizes()) {
      auto own = filled<T>(count, [&](int64_t i) { return small_value(group.rank(), i); });
      std::vector<T> gathered(static_cast<size_t>(count * group.size()));
      group.all_gather(view_of(own), view_of(gathered));
      expect_values(
          gathered, [&](int64_t i) { return small_value(static_cast<int>(i / count), i % count); },
          "gather");
      expect_values(
          own, [&](int64_t i) { return small_value(group.rank(), i); }, "own");
    }
  });
}

inline void gather_in_place(Communicator& group) {
  std::vector<int32_t> all(static_cast<size_t>(3 * group.size()), -1);
  const core::TensorView own = view_of(all).slice(0, 3 * group.rank(), 3 * group.rank() + 3);
  for (int i = 0; i < 3; ++i) own.data<int32_t>()[i] = 10 * group.rank() + i;
  group.all_gather(own, view_of(all));
  expect_values(
      all, [](int64_t i) { return 10 * (i / 3) + i % 3; }, "in place");
}

inline void reduce_scatter_gives_own_part(Communicator& group) {
  for_each_dtype([&](auto type) {
    using T = decltype(type);
    for (int64_t count : sizes()) {
      auto full =
          filled<T>(count * group.size(), [&](int64_t i) { return small_value(group.rank(), i); });
      std::vector<T> own(static_cast<size_t>(count));
      group.reduce_scatter_sum(view_of(full), view_of(own));
      const auto expected = [&](int64_t i) {
        int sum = 0;
        for (int r = 0; r < group.size(); ++r) sum += small_value(r, group.rank() * count + i);
        return sum;
      };
      expect_values(own, expected, "part of " + std::to_string(count));
    }
  });
}

/// Bit for bit what all_reduce gives, into the buffer's own part, the other parts untouched.
inline void reduce_scatter_in_place_has_the_bits_of_all_reduce(Communicator& group) {
  for (int64_t count : {1L, 16L, 4097L, 20011L}) {
    const int64_t begin = group.rank() * count, end = begin + count;
    auto full = sensitive(group.rank(), count * group.size());
    auto summed = full;
    group.all_reduce_sum(view_of(summed));
    auto expected = full;
    std::copy(summed.begin() + begin, summed.begin() + end, expected.begin() + begin);
    group.reduce_scatter_sum(view_of(full), view_of(full).slice(0, begin, end));
    ASSERT_EQ(0, std::memcmp(full.data(), expected.data(), full.size() * sizeof(float)))
        << count << " elements a rank";
  }
}

inline void broadcast_from_every_root(Communicator& group) {
  for (int root = 0; root < group.size(); ++root) {
    for (int64_t count : sizes()) {
      auto values = filled<double>(count, [&](int64_t i) { return 100 * group.rank() + i; });
      group.broadcast(view_of(values), root);
      expect_values(
          values, [&](int64_t i) { return 100 * root + i; }, "from " + std::to_string(root));
    }
  }
}

inline void sums_have_one_fixed_order(Communicator& group) {
  for (int64_t count : {5L, 4096L, 4097L, 20011L}) {
    const std::vector<float> expected = sum_over_ranks(group.size(), count);
    for (int repeat = 0; repeat < 3; ++repeat) {
      auto values = sensitive(group.rank(), count);
      group.all_reduce_sum(view_of(values));
      ASSERT_EQ(0, std::memcmp(values.data(), expected.data(), values.size() * sizeof(float)))
          << count << " elements, run " << repeat << ": another order than the tree's";
    }
  }
}

inline void bf16_sums_round_once(Communicator& group) {
  // 256 + 1 rounds to 256 in bf16: summed in bf16 the ones would all be lost.
  std::vector<core::BFloat16> values{core::BFloat16(group.rank() == 0 ? 256.0f : 1.0f)};
  group.all_reduce_sum(view_of(values));
  EXPECT_EQ(number(values[0]),
            number(core::BFloat16(256.0f + static_cast<float>(group.size() - 1))));
}

/// Waits in an order that differs between ranks: only progress of all operations at once gets
/// through.
inline void several_in_flight_waited_for_in_any_order(Communicator& group) {
  constexpr int kOperations = 6;
  const auto half = group.split(group.rank() % 2, 0);
  std::vector<std::vector<float>> values;
  std::vector<std::unique_ptr<Pending>> pending;
  for (int op = 0; op < kOperations; ++op) {
    const int64_t count = op % 2 == 0 ? 30000 : 5;
    values.push_back(filled<float>(count, [&](int64_t i) { return group.rank() + op + i % 5; }));
  }
  for (int op = 0; op < kOperations; ++op) {
    Communicator& communicator = op < 4 ? group : *half;
    pending.push_back(communicator.start_all_reduce_sum(view_of(values[static_cast<size_t>(op)])));
  }
  for (int i = 0; i < kOperations; ++i) {
    pending[static_cast<size_t>((i * (group.rank() % 2 == 0 ? 1 : 5) + group.rank()) % kOperations)]
        ->wait();
  }
  for (int op = 0; op < kOperations; ++op) {
    const auto expected = [&](int64_t i) {
      double sum = 0;
      for (int r = 0; r < group.size(); ++r) {
        if (op < 4 || r % 2 == group.rank() % 2) sum += static_cast<double>(r + op + i % 5);
      }
      return sum;
    };
    expect_values(values[static_cast<size_t>(op)], expected, "operation " + std::to_string(op));
  }
}

inline void test_makes_progress(Communicator& group) {
  std::vector<double> values(40000, 1.0);
  auto pending = group.start_all_reduce_sum(view_of(values));
  while (!pending->test()) {
  }
  pending->wait();
  expect_values(
      values, [&](int64_t) { return group.size(); }, "by test() alone");
}

inline void destruction_waits(Communicator& group) {
  std::vector<float> values(20000, 2.0f);
  group.start_all_reduce_sum(view_of(values));
  expect_values(
      values, [&](int64_t) { return 2 * group.size(); }, "destroyed unfinished");
}

inline void split_orders_by_key(Communicator& group) {
  // Two colours, one of them negative; keys reverse the order.
  const auto part = group.split(group.rank() % 2 == 0 ? -5 : 9, -group.rank());
  int expected_size = 0, expected_rank = 0;
  for (int r = 0; r < group.size(); ++r) {
    if (r % 2 != group.rank() % 2) continue;
    ++expected_size;
    expected_rank += r > group.rank();
  }
  ASSERT_EQ(part->size(), expected_size);
  EXPECT_EQ(part->rank(), expected_rank);
  EXPECT_EQ(part->sum(int64_t{1}), expected_size);
  // The parent still works, and its messages do not meet those of the part.
  std::vector<float> in_part(3, 1.0f), in_group(3, 1.0f);
  auto first = part->start_all_reduce_sum(view_of(in_part));
  auto second = group.start_all_reduce_sum(view_of(in_group));
  second->wait();
  first->wait();
  EXPECT_EQ(in_part[2], static_cast<float>(expected_size));
  EXPECT_EQ(in_group[2], static_cast<float>(group.size()));
  const auto equal_keys = part->split(0, 0);
  EXPECT_EQ(equal_keys->rank(), part->rank()) << "equal keys keep the old order";
  const auto alone = group.split(group.rank(), 0);
  EXPECT_EQ(alone->size(), 1);
  EXPECT_EQ(alone->sum(2.5), 2.5);
}

inline void scalars(Communicator& group) {
  const int n = group.size();
  EXPECT_EQ(group.sum(0.5 * (group.rank() + 1)), 0.25 * n * (n + 1));
  EXPECT_EQ(group.max(-1.0 - group.rank()), -1.0);
  EXPECT_EQ(group.sum((int64_t{1} << 49) + group.rank()), n * (int64_t{1} << 49) + n * (n - 1) / 2);
}

inline void bytes_of_any_length(Communicator& group) {
  for (int root = 0; root < group.size(); ++root) {
    for (size_t length : {0UL, 1UL, 2UL, 3UL, 4UL, 5UL, 100003UL}) {
      std::string expected(length, 'x');
      for (size_t i = 0; i < length; ++i)
        expected[i] = static_cast<char>(i * 31 + static_cast<size_t>(root));
      const std::string own = group.rank() == root ? expected : std::string(length / 2 + 7, '?');
      EXPECT_TRUE(group.broadcast_bytes(own, root) == expected) << length << " bytes from " << root;
    }
  }
}

inline void nobody_leaves_a_barrier_early(Communicator& group) {
  for (int round = 0; round < 5; ++round) {
    // Rank 0 sends before it enters; whoever left the barrier finds the message without waiting.
    std::vector<int32_t> note{round};
    std::vector<std::unique_ptr<Pending>> sends;
    if (group.rank() == 0) {
      for (int r = 1; r < group.size(); ++r) sends.push_back(group.start_send(view_of(note), r, 1));
    }
    group.barrier();
    if (group.rank() > 0) {
      std::vector<int32_t> got{-1};
      group.receive(view_of(got), 0, 1);
      EXPECT_EQ(got[0], round);
    }
    for (auto& send : sends) send->wait();
  }
}

inline void more_operations_than_tags(Communicator& group) {
  std::vector<int32_t> value{0};
  for (int i = 0; i < 4200; ++i) {
    value[0] = 1;
    group.all_reduce_sum(view_of(value));
    if (value[0] != group.size()) break;
  }
  EXPECT_EQ(value[0], group.size());
}

/// Of what is made of messages with tags: sums by one tree, whatever the operation, and numbers
/// that come round. NCCL has an order of its own and no numbers.
inline std::vector<RankCase> message_contract() {
  return {{"reduce_scatter_in_place_has_the_bits_of_all_reduce",
           reduce_scatter_in_place_has_the_bits_of_all_reduce},
          {"sums_have_one_fixed_order", sums_have_one_fixed_order},
          {"bf16_sums_round_once", bf16_sums_round_once},
          {"more_operations_than_tags", more_operations_than_tags}};
}

/// What more ranks do in another way, in sizes that fit in memory.
inline std::vector<RankCase> many_ranks_contract() {
  return {{"maxima_equal_the_formula", maxima_equal_the_formula},
          {"a_nan_survives_the_maximum", a_nan_survives_the_maximum},
          {"gather_in_place", gather_in_place},
          {"split_orders_by_key", split_orders_by_key},
          {"scalars", scalars},
          {"nobody_leaves_a_barrier_early", nobody_leaves_a_barrier_early}};
}

inline std::vector<RankCase> communicator_contract() {
  std::vector<RankCase> cases = point_to_point_contract();
  const std::vector<RankCase> collective{
      {"sums_equal_the_formula", sums_equal_the_formula},
      {"maxima_equal_the_formula", maxima_equal_the_formula},
      {"a_nan_survives_the_maximum", a_nan_survives_the_maximum},
      {"gather_keeps_rank_order", gather_keeps_rank_order},
      {"gather_in_place", gather_in_place},
      {"reduce_scatter_gives_own_part", reduce_scatter_gives_own_part},
      {"broadcast_from_every_root", broadcast_from_every_root},
      {"several_in_flight_waited_for_in_any_order", several_in_flight_waited_for_in_any_order},
      {"test_makes_progress", test_makes_progress},
      {"destruction_waits", destruction_waits},
      {"split_orders_by_key", split_orders_by_key},
      {"scalars", scalars},
      {"bytes_of_any_length", bytes_of_any_length},
      {"nobody_leaves_a_barrier_early", nobody_leaves_a_barrier_early}};
  cases.insert(cases.end(), collective.begin(), collective.end());
  return cases;
}

}  // namespace longhaul::test
