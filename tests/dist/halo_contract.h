// The halo exchange against the rows of the whole sequence, which every rank knows.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dist/state_exchange.h"
#include "kernels/core/random.h"
#include "tests/dist/rank_values.h"
#include "tests/support/rank_case.h"

namespace longhaul::test {

using dist::Communicator;
using dist::HaloExchange;

inline constexpr int64_t kHaloBatch = 2, kHaloChannels = 3;

/// Segment lengths that a group may meet: long, ragged, shorter than a halo, empty at either end
/// and between.
inline std::vector<std::vector<int64_t>> segment_lengths(int ranks) {
  const std::vector<std::vector<int64_t>> patterns{
      {9, 9, 9}, {8, 7, 1}, {4, 4, 0},       {1, 1, 1}, {2, 0, 1, 5},
      {0, 6, 0}, {0, 0, 0}, {3, 1, 4, 1, 5}, {5, 2},    {0, 1}};
  std::vector<std::vector<int64_t>> all;
  for (const auto& pattern : patterns) {
    std::vector<int64_t> lengths;
    for (int r = 0; r < ranks; ++r)
      lengths.push_back(pattern[static_cast<size_t>(r) % pattern.size()]);
    all.push_back(lengths);
  }
  return all;
}

struct HaloCase {
  std::vector<int64_t> lengths;
  int64_t width = 0;  ///< K − 1
  int rank = 0;

  int64_t begin_of(int r) const {
    int64_t begin = 0;
    for (int i = 0; i < r; ++i) begin += lengths[static_cast<size_t>(i)];
    return begin;
  }
  int64_t length() const { return lengths[static_cast<size_t>(rank)]; }
  std::string name() const {
    std::string text = "K - 1 = " + std::to_string(width) + ", lengths";
    for (int64_t each : lengths) text += " " + std::to_string(each);
    return text;
  }
};

/// A number of its own for each place; exact in bf16. Tokens from −width on.
inline double row_value(int64_t b, int64_t token, int64_t c) {
  return static_cast<double>((b * 53 + (token + 10) * 7 + c * 19) % 251 - 125);
}
inline double dhalo_value(int rank, int64_t b, int64_t j, int64_t c) {
  return static_cast<double>((rank * 5 + b * 3 + j * 2 + c) % 13 - 6);
}

/// [batch, length, channels] inside a wider tensor, channels not first: strides free.
struct StridedRows {
  core::Tensor wide;
  core::TensorView rows;

  StridedRows(core::Context& context, core::DType dtype, int64_t length)
      : wide(core::Tensor::zeros(context, dtype, {kHaloBatch, length, kHaloChannels + 4})),
        rows(wide.view().slice(2, 3, 3 + kHaloChannels)) {}
};

template <class T, class Formula>
void assign(const core::TensorView& view, const Formula& formula) {
  for (int64_t b = 0; b < view.extent(0); ++b) {
    for (int64_t t = 0; t < view.extent(1); ++t) {
      for (int64_t c = 0; c < view.extent(2); ++c) {
        view.data<T>()[b * view.stride(0) + t * view.stride(1) + c * view.stride(2)] =
            as<T>(formula(b, t, c));
      }
    }
  }
}

template <class T, class Formula>
void expect_rows(const core::TensorView& view, const Formula& formula, const std::string& what) {
  for (int64_t b = 0; b < view.extent(0); ++b) {
    for (int64_t t = 0; t < view.extent(1); ++t) {
      for (int64_t c = 0; c < view.extent(2); ++c) {
        const T value =
            view.data<T>()[b * view.stride(0) + t * view.stride(1) + c * view.stride(2)];
        ASSERT_EQ(number(value), formula(b, t, c))
            << what << ", at " << b << ", " << t << ", " << c;
      }
    }
  }
}

template <class T>
void check_halo_forward(Communicator& group, const HaloCase& halo_case, bool with_boundary) {
  core::Context context({}, 1);
  const core::DType dtype = core::kDTypeOf<T>;
  const core::Shape halo_shape{kHaloBatch, halo_case.width, kHaloChannels};
  const int64_t begin = halo_case.begin_of(halo_case.rank);
  const StridedRows own(context, dtype, halo_case.length());
  assign<T>(own.rows, [&](int64_t b, int64_t t, int64_t c) { return row_value(b, begin + t, c); });
  core::Tensor boundary(context, dtype, halo_shape), halo(context, dtype, halo_shape);
  // Only the first rank's counts: the others hold nonsense.
  assign<T>(boundary, [&](int64_t b, int64_t t, int64_t c) {
    return group.rank() == 0 ? row_value(b, t - halo_case.width, c) : 99.0;
  });
  assign<T>(halo, [](int64_t, int64_t, int64_t) { return 77.0; });
  HaloExchange exchange(context, group, halo_case.lengths);
  exchange.start_forward(own.rows, with_boundary ? boundary.view() : core::TensorView(), halo)
      ->finish();
  const auto expected = [&](int64_t b, int64_t j, int64_t c) {
    const int64_t token = begin - halo_case.width + j;
    return token < 0 && !with_boundary ? 0.0 : row_value(b, token, c);
  };
  expect_rows<T>(halo, expected, halo_case.name());
}

template <class T>
void check_halo_backward(Communicator& group, const HaloCase& halo_case, bool with_boundary) {
  core::Context context({}, 1);
  const core::DType dtype = core::kDTypeOf<T>;
  const core::Shape halo_shape{kHaloBatch, halo_case.width, kHaloChannels};
  const StridedRows own(context, dtype, halo_case.length());
  assign<T>(own.rows,
            [](int64_t b, int64_t t, int64_t c) { return static_cast<double>(b + t + c); });
  core::Tensor dhalo(context, dtype, halo_shape), dboundary(context, dtype, halo_shape);
  assign<T>(dhalo,
            [&](int64_t b, int64_t j, int64_t c) { return dhalo_value(group.rank(), b, j, c); });
  assign<T>(dboundary, [](int64_t, int64_t, int64_t) { return 77.0; });
  HaloExchange exchange(context, group, halo_case.lengths);
  exchange.start_backward(dhalo, own.rows, with_boundary ? dboundary.view() : core::TensorView())
      ->finish();
  // Every halo row of every rank is one token; its gradient goes there.
  const auto gradient_of = [&](int64_t b, int64_t token, int64_t c) {
    double sum = 0;
    for (int r = 0; r < group.size(); ++r) {
      const int64_t j = token - halo_case.begin_of(r) + halo_case.width;
      if (j >= 0 && j < halo_case.width) sum += dhalo_value(r, b, j, c);
    }
    return sum;
  };
  // Tokens of this rank lie before the halos of later ranks only; its own halo lies before its
  // tokens.
  const int64_t begin = halo_case.begin_of(halo_case.rank);
  expect_rows<T>(
      own.rows,
      [&](int64_t b, int64_t t, int64_t c) {
        return static_cast<double>(b + t + c) + gradient_of(b, begin + t, c);
      },
      "drows, " + halo_case.name());
  if (with_boundary) {
    expect_rows<T>(
        dboundary,
        [&](int64_t b, int64_t j, int64_t c) { return gradient_of(b, j - halo_case.width, c); },
        "dboundary, " + halo_case.name());
  }
  // What lies beside the rows is untouched.
  expect_rows<T>(
      own.wide.view().slice(2, 0, 3), [](int64_t, int64_t, int64_t) { return 0.0; }, "beside");
}

template <class Body>
void for_each_halo_case(Communicator& group, const Body& body) {
  for (const auto& lengths : segment_lengths(group.size())) {
    for (int64_t width : {0, 1, 3, 4}) {
      for (bool with_boundary : {true, false})
        body(HaloCase{lengths, width, group.rank()}, with_boundary);
    }
  }
}

inline void halos_are_the_preceding_rows(Communicator& group) {
  for_each_halo_case(group, [&](const HaloCase& halo_case, bool with_boundary) {
    check_halo_forward<float>(group, halo_case, with_boundary);
    check_halo_forward<core::BFloat16>(group, halo_case, with_boundary);
    check_halo_forward<double>(group, halo_case, with_boundary);
  });
}

inline void halo_gradients_go_home(Communicator& group) {
  for_each_halo_case(group, [&](const HaloCase& halo_case, bool with_boundary) {
    check_halo_backward<float>(group, halo_case, with_boundary);
    check_halo_backward<core::BFloat16>(group, halo_case, with_boundary);
    check_halo_backward<double>(group, halo_case, with_boundary);
  });
}

inline double dot(const core::TensorView& a, const core::TensorView& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.extent(0); ++i) {
    for (int64_t t = 0; t < a.extent(1); ++t) {
      for (int64_t c = 0; c < a.extent(2); ++c) {
        sum += a.select(0, i).select(0, t).data<double>()[c * a.stride(2)] *
               b.select(0, i).select(0, t).data<double>()[c * b.stride(2)];
      }
    }
  }
  return sum;
}

inline void halo_backward_is_the_adjoint(Communicator& group) {
  for_each_halo_case(group, [&](const HaloCase& halo_case, bool) {
    core::Context context({}, 1);
    core::RandomStream random({static_cast<uint64_t>(group.rank()), 2, core::RandomPurpose::kTest});
    const auto normal = [&](int64_t, int64_t, int64_t) { return random.normal(); };
    const core::Shape halo_shape{kHaloBatch, halo_case.width, kHaloChannels};
    const StridedRows rows(context, core::DType::kF64, halo_case.length());
    const StridedRows drows(context, core::DType::kF64, halo_case.length());
    core::Tensor boundary(context, core::DType::kF64, halo_shape),
        halo(context, core::DType::kF64, halo_shape);
    core::Tensor v(context, core::DType::kF64, halo_shape),
        dboundary(context, core::DType::kF64, halo_shape);
    assign<double>(rows.rows, normal);
    assign<double>(boundary, normal);
    assign<double>(v, normal);
    HaloExchange exchange(context, group, halo_case.lengths);
    auto forward = exchange.start_forward(rows.rows, boundary, halo);
    auto backward = exchange.start_backward(v, drows.rows, dboundary);  // both under way
    forward->finish();
    backward->finish();
    if (halo_case.width == 0) return;
    const double left = group.sum(dot(halo, v));
    const double right = group.sum(dot(rows.rows, drows.rows) +
                                   (group.rank() == 0 ? dot(boundary, dboundary) : 0.0));
    EXPECT_NEAR(left, right, 1e-11) << halo_case.name();
  });
}

inline void halos_and_exchanges_do_not_meet(Communicator& group) {
  core::Context context({}, 1);
  const std::vector<int64_t> lengths(static_cast<size_t>(group.size()), 5);
  HaloExchange halos(context, group, lengths);
  dist::StateExchange chain(context, group, dist::ExchangeAlgorithm::kChain);
  const core::Shape shape{kHaloBatch, 3, kHaloChannels};
  const auto rank = static_cast<float>(group.rank());
  auto rows = core::Tensor::from(context, std::vector<float>(kHaloBatch * 5 * kHaloChannels, rank),
                                 {kHaloBatch, 5, kHaloChannels});
  core::Tensor halo(context, core::DType::kF32, shape),
      other_halo(context, core::DType::kF32, shape);
  std::vector<float> log_decay{0}, state{1}, incoming{-1};
  const auto scalar = [](std::vector<float>& value) { return view_of(value).reshape({1, 1}); };
  auto first = halos.start_forward(rows, {}, halo);
  auto middle = chain.start(
      {dist::Direction::kForward, scalar(log_decay), scalar(state), {}, scalar(incoming)});
  auto second = halos.start_forward(rows, {}, other_halo);
  middle->finish();
  second->finish();
  first->finish();
  EXPECT_EQ(incoming[0], rank);
  EXPECT_EQ(halo.data<float>()[0], group.rank() == 0 ? 0 : rank - 1);
  EXPECT_EQ(other_halo.data<float>()[8], group.rank() == 0 ? 0 : rank - 1);
}

inline std::vector<RankCase> halo_contract() {
  return {{"halos_are_the_preceding_rows", halos_are_the_preceding_rows},
          {"halo_gradients_go_home", halo_gradients_go_home},
          {"halo_backward_is_the_adjoint", halo_backward_is_the_adjoint},
          {"halos_and_exchanges_do_not_meet", halos_and_exchanges_do_not_meet}};
}

}  // namespace longhaul::test
