// The state exchange against the plain sequential recurrence in double, which every rank computes
// for itself.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "dist/mesh.h"
#include "dist/state_exchange.h"
#include "kernels/core/random.h"
#include "tests/dist/rank_values.h"
#include "tests/support/rank_case.h"

namespace longhaul::test {

using dist::Communicator;
using dist::Direction;
using dist::ExchangeAlgorithm;
using dist::ExchangeArgs;
using dist::StateExchange;

inline constexpr std::array kAlgorithms{ExchangeAlgorithm::kAllGather, ExchangeAlgorithm::kChain,
                                        ExchangeAlgorithm::kLogStep};
inline constexpr std::array kDirections{Direction::kForward, Direction::kBackward};

inline std::string name_of(ExchangeAlgorithm algorithm, Direction direction) {
  return std::string(enum_names(algorithm)[static_cast<size_t>(algorithm)]) +
         (direction == Direction::kForward ? " forward" : " backward");
}

/// The maps of all ranks, in double, the same numbers on every rank.
struct Maps {
  core::Shape shape;
  int64_t rows = 0, width = 0;
  std::vector<std::vector<double>> log_decay, state;  // [rank][…]
  std::vector<double> boundary;

  /// What enters segment `rank`: one step after the other.
  std::vector<double> incoming(int rank, Direction direction, bool with_boundary) const {
    std::vector<double> s = with_boundary ? boundary : std::vector<double>(boundary.size(), 0.0);
    const int ranks = static_cast<int>(state.size());
    const int first = direction == Direction::kForward ? 0 : ranks - 1;
    const int step = direction == Direction::kForward ? 1 : -1;
    for (int r = first; r != rank; r += step) {
      for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
        const double decay = std::exp(log_decay[static_cast<size_t>(r)][row]);
        for (size_t i = row * static_cast<size_t>(width);
             i < (row + 1) * static_cast<size_t>(width); ++i) {
          s[i] = (decay == 0 ? 0 : decay * s[i]) + state[static_cast<size_t>(r)][i];
        }
      }
    }
    return s;
  }
};

inline Maps random_maps(int ranks, const core::Shape& shape, uint64_t seed) {
  core::RandomStream random({seed, 0, core::RandomPurpose::kTest});
  Maps maps{shape, shape[0] * shape[1], 0, {}, {}, {}};
  maps.width = shape.elements() / maps.rows;
  for (int r = 0; r < ranks; ++r) {
    maps.log_decay.emplace_back();
    maps.state.emplace_back();
    // fp32 numbers, so that rounding of the inputs is no part of the comparison
    for (int64_t i = 0; i < maps.rows; ++i)
      maps.log_decay.back().push_back(static_cast<float>(-2 * random.uniform()));
    for (int64_t i = 0; i < shape.elements(); ++i)
      maps.state.back().push_back(static_cast<float>(random.normal()));
  }
  for (int64_t i = 0; i < shape.elements(); ++i)
    maps.boundary.push_back(static_cast<float>(random.normal()));
  return maps;
}

/// This rank's tensors of one exchange.
template <class T>
struct OwnTensors {
  core::Tensor log_decay, state, boundary, incoming;

  OwnTensors(core::Context& context, const Maps& maps, int rank) {
    const auto tensor = [&](const std::vector<double>& values, const core::Shape& shape) {
      return core::Tensor::from(context, std::vector<T>(values.begin(), values.end()), shape);
    };
    log_decay = tensor(maps.log_decay[static_cast<size_t>(rank)], {maps.shape[0], maps.shape[1]});
    state = tensor(maps.state[static_cast<size_t>(rank)], maps.shape);
    boundary = tensor(maps.boundary, maps.shape);
    incoming = tensor(std::vector<double>(maps.boundary.size(), 777.0), maps.shape);
  }
  ExchangeArgs args(Direction direction, bool with_boundary) const {
    return {direction, log_decay, state, with_boundary ? boundary.view() : core::TensorView(),
            incoming};
  }
};

template <class T>
void expect_near(const core::Tensor& tensor, const std::vector<double>& expected, double tolerance,
                 const std::string& what) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (tensor.data<T>()[i] == expected[i]) continue;  // infinities too
    ASSERT_NEAR(tensor.data<T>()[i], expected[i], tolerance * (1 + std::abs(expected[i])))
        << what << ", element " << i;
  }
}

template <class T>
inline constexpr double kTolerance = sizeof(T) == 4 ? 2e-6 : 1e-13;

template <class T>
void check_exchange(Communicator& group, ExchangeAlgorithm algorithm, const Maps& maps) {
  core::Context context({}, 1);
  StateExchange exchange(context, group, algorithm);
  for (Direction direction : kDirections) {
    for (bool with_boundary : {true, false}) {
      const OwnTensors<T> own(context, maps, group.rank());
      exchange.start(own.args(direction, with_boundary))->finish();
      expect_near<T>(own.incoming, maps.incoming(group.rank(), direction, with_boundary),
                     kTolerance<T>,
                     name_of(algorithm, direction) + (with_boundary ? " with boundary" : ""));
    }
  }
}

inline void every_algorithm_equals_the_plain_scan(Communicator& group) {
  // The last one is several blocks of the chain, whose borders cut rows.
  const std::vector<core::Shape> shapes{
      {1, 1}, {1, 1, 1}, {2, 3, 4, 5}, {3, 1, 7}, {1, 5, 129, 101}};
  for (const core::Shape& shape : shapes) {
    const Maps maps = random_maps(group.size(), shape, 1);
    for (ExchangeAlgorithm algorithm : kAlgorithms) {
      check_exchange<float>(group, algorithm, maps);
      check_exchange<double>(group, algorithm, maps);
    }
  }
}

/// From tokens: s_t = e^{l_t} s_{t−1} + x_t over the whole sequence; rank r holds a ragged,
/// possibly empty piece.
inline void the_pieces_of_a_sequence_make_the_whole(Communicator& group) {
  core::Context context({}, 1);
  for (int64_t length : {0, 1, 2, 7, 40}) {
    for (bool all_on_last : {false, true}) {
      core::RandomStream random({static_cast<uint64_t>(length), 1, core::RandomPurpose::kTest});
      std::vector<double> l, x;
      for (int64_t t = 0; t < length; ++t) {
        l.push_back(-random.uniform());
        x.push_back(random.normal());
      }
      dist::Segment segment = dist::segment_of(length, group.size(), group.rank());
      if (all_on_last) segment = {0, group.rank() + 1 < group.size() ? 0 : length};
      double truth = 0.5, log_decay = 0, state = 0;
      for (int64_t t = 0; t < segment.begin; ++t) truth = std::exp(l[t]) * truth + x[t];
      for (int64_t t = segment.begin; t < segment.end; ++t) {
        log_decay += l[t];
        state = std::exp(l[t]) * state + x[t];
      }
      for (ExchangeAlgorithm algorithm : kAlgorithms) {
        StateExchange exchange(context, group, algorithm);
        double boundary = 0.5, incoming = -1;
        const auto scalar = [](double& value) {
          return core::TensorView(&value, core::DType::kF64, {1, 1});
        };
        exchange
            .start({Direction::kForward, scalar(log_decay), scalar(state), scalar(boundary),
                    scalar(incoming)})
            ->finish();
        EXPECT_NEAR(incoming, truth, 1e-13)
            << length << " tokens, " << name_of(algorithm, Direction::kForward);
      }
    }
  }
}

inline void extreme_decays_forget_exactly(Communicator& group) {
  const double infinity = std::numeric_limits<double>::infinity();
  Maps maps = random_maps(group.size(), {2, 4, 3}, 5);
  const std::array decays{-infinity, -3e38, -1e4, -104.0, 0.0, -1e-12, -87.0, -0.5};
  for (size_t r = 0; r < maps.log_decay.size(); ++r) {
    for (size_t i = 0; i < maps.log_decay[r].size(); ++i)
      maps.log_decay[r][i] = decays[(3 * r + i) % decays.size()];
  }
  for (ExchangeAlgorithm algorithm : kAlgorithms) {
    check_exchange<float>(group, algorithm, maps);
    check_exchange<double>(group, algorithm, maps);
  }
  // An infinite state is forgotten by a decay of zero, whoever composes the maps.
  for (auto& decays_of_rank : maps.log_decay)
    decays_of_rank.assign(decays_of_rank.size(), -infinity);
  maps.boundary.assign(maps.boundary.size(), infinity);
  for (ExchangeAlgorithm algorithm : kAlgorithms) check_exchange<float>(group, algorithm, maps);
}

inline void composition_is_associative(Communicator& group) {
  // log_step composes maps before any state is known, the chain only applies them: they agree in
  // double far better than one in fp32 could, with decays from 1 to e^{-200}.
  core::Context context({}, 1);
  Maps maps = random_maps(group.size(), {1, 6, 5}, 6);
  for (auto& decays : maps.log_decay) {
    for (size_t i = 0; i < decays.size(); ++i)
      decays[i] *= std::pow(10.0, static_cast<double>(i) - 3);
  }
  for (Direction direction : kDirections) {
    std::vector<std::vector<double>> results;
    for (ExchangeAlgorithm algorithm : kAlgorithms) {
      const OwnTensors<double> own(context, maps, group.rank());
      StateExchange(context, group, algorithm).start(own.args(direction, true))->finish();
      const double* values = own.incoming.data<double>();
      results.emplace_back(values, values + own.incoming.elements());
    }
    EXPECT_EQ(results[0], results[1]) << "all_gather and chain do the same arithmetic";
    for (size_t i = 0; i < results[0].size(); ++i)
      EXPECT_NEAR(results[2][i], results[0][i], 1e-14 * 20);
  }
}

inline void backward_is_the_adjoint_of_forward(Communicator& group) {
  // u = (boundary, all states), v = weights of all incoming states:
  // Σ_r ⟨incoming_r(u), v_r⟩ = Σ_r ⟨state_r, dout_r(v)⟩ + ⟨boundary, a_0 dout_0 + v_0⟩.
  core::Context context({}, 1);
  const core::Shape shape{2, 2, 3};
  const Maps u = random_maps(group.size(), shape, 7);
  Maps v = random_maps(group.size(), shape, 8);
  v.log_decay = u.log_decay;
  const auto mine = static_cast<size_t>(group.rank());
  for (ExchangeAlgorithm algorithm : kAlgorithms) {
    StateExchange exchange(context, group, algorithm);
    const OwnTensors<double> forward(context, u, group.rank()), backward(context, v, group.rank());
    exchange.start(forward.args(Direction::kForward, true))->finish();
    exchange.start(backward.args(Direction::kBackward, false))->finish();
    double left = 0, right = 0;
    for (size_t i = 0; i < u.boundary.size(); ++i) {
      const double dout = backward.incoming.data<double>()[i];
      left += forward.incoming.data<double>()[i] * v.state[mine][i];
      right += u.state[mine][i] * dout;
      if (group.rank() == 0) {
        right +=
            u.boundary[i] *
            (std::exp(u.log_decay[0][i / static_cast<size_t>(u.width)]) * dout + v.state[0][i]);
      }
    }
    EXPECT_NEAR(group.sum(left), group.sum(right), 1e-11)
        << name_of(algorithm, Direction::kBackward);
  }
}

inline void several_exchanges_in_flight(Communicator& group) {
  core::Context context({}, 1);
  for (ExchangeAlgorithm algorithm : kAlgorithms) {
    StateExchange exchange(context, group, algorithm);
    for (bool last_started_first_finished : {false, true}) {
      std::vector<Maps> maps;
      std::vector<OwnTensors<float>> own;
      std::vector<std::unique_ptr<StateExchange::Run>> runs;
      constexpr int kRuns = 4;
      for (int i = 0; i < kRuns; ++i) {
        maps.push_back(
            random_maps(group.size(), {1, 3, i == 2 ? 25000 : 10}, 20 + static_cast<uint64_t>(i)));
        own.emplace_back(context, maps.back(), group.rank());
      }
      for (int i = 0; i < kRuns; ++i)
        runs.push_back(exchange.start(own[static_cast<size_t>(i)].args(kDirections[i % 2], i < 2)));
      for (int i = 0; i < kRuns; ++i)
        runs[static_cast<size_t>(last_started_first_finished ? kRuns - 1 - i : i)]->finish();
      for (int i = 0; i < kRuns; ++i) {
        const auto index = static_cast<size_t>(i);
        expect_near<float>(own[index].incoming,
                           maps[index].incoming(group.rank(), kDirections[i % 2], i < 2),
                           kTolerance<float>,
                           name_of(algorithm, kDirections[i % 2]) + " run " + std::to_string(i));
      }
    }
  }
}

inline void all_gather_travels_between_start_and_finish(Communicator& group) {
  // The last rank finishes first; the others touch their run only after its note. If anything were
  // sent in finish, this would not end.
  core::Context context({}, 1);
  const Maps maps = random_maps(group.size(), {1, 3, 20000}, 30);
  const OwnTensors<float> own(context, maps, group.rank());
  StateExchange exchange(context, group, ExchangeAlgorithm::kAllGather);
  auto run = exchange.start(own.args(Direction::kForward, true));
  const int last = group.size() - 1;
  std::vector<int32_t> note{1};
  if (group.rank() == last) run->finish();
  group.broadcast(view_of(note), last);
  if (group.rank() != last) run->finish();
  expect_near<float>(own.incoming, maps.incoming(group.rank(), Direction::kForward, true),
                     kTolerance<float>, "late");
}

inline void repeated_exchanges_give_the_same_bits(Communicator& group) {
  core::Context context({}, 1);
  const Maps maps = random_maps(group.size(), {2, 3, 1001}, 40);
  for (ExchangeAlgorithm algorithm : kAlgorithms) {
    StateExchange exchange(context, group, algorithm);
    const OwnTensors<float> first(context, maps, group.rank());
    exchange.start(first.args(Direction::kBackward, true))->finish();
    for (int repeat = 0; repeat < 3; ++repeat) {
      const OwnTensors<float> again(context, maps, group.rank());
      exchange.start(again.args(Direction::kBackward, true))->finish();
      EXPECT_EQ(0, std::memcmp(first.incoming.data<float>(), again.incoming.data<float>(),
                               static_cast<size_t>(first.incoming.view().bytes())));
    }
  }
}

inline void automatic_is_one_choice_for_all(Communicator& group) {
  core::Context context({}, 1);
  for (int64_t elements : {1, 20000}) {
    const int64_t log_decays = elements / 2;
    const StateExchange exchange(context, group, ExchangeAlgorithm::kAutomatic, elements,
                                 log_decays);
    const auto choice = static_cast<double>(exchange.algorithm());
    EXPECT_NE(exchange.algorithm(), ExchangeAlgorithm::kAutomatic);
    EXPECT_EQ(exchange.algorithm(),
              dist::cheapest_exchange({.ranks = group.size(),
                                       .state_bytes = 4 * elements,
                                       .log_decay_bytes = 4 * log_decays,
                                       .free_messages = group.has_free_messages()}));
    EXPECT_EQ(group.max(choice), -group.max(-choice));
  }
}

inline std::vector<RankCase> exchange_contract() {
  return {
      {"every_algorithm_equals_the_plain_scan", every_algorithm_equals_the_plain_scan},
      {"the_pieces_of_a_sequence_make_the_whole", the_pieces_of_a_sequence_make_the_whole},
      {"extreme_decays_forget_exactly", extreme_decays_forget_exactly},
      {"composition_is_associative", composition_is_associative},
      {"backward_is_the_adjoint_of_forward", backward_is_the_adjoint_of_forward},
      {"several_exchanges_in_flight", several_exchanges_in_flight},
      {"all_gather_travels_between_start_and_finish", all_gather_travels_between_start_and_finish},
      {"repeated_exchanges_give_the_same_bits", repeated_exchanges_give_the_same_bits},
      {"automatic_is_one_choice_for_all", automatic_is_one_choice_for_all}};
}

}  // namespace longhaul::test
