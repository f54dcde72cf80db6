// A source on one rank, and states that tell rows apart.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "dist/thread_communicator.h"
#include "tests/support/random_tensor.h"
#include "trainer/initial_state.h"

namespace longhaul::trainer {

using model::RecurrentState;
using model::StateKind;
using testing::assign;
using testing::random_values;
using testing::values_of;

inline const std::vector<model::StateSpec>& specs() {
  static const std::vector<model::StateSpec> list = {
      {.name = "ssm.0", .shape = {4, 3, 5}, .kind = StateKind::kRecurrent, .layer = 0, .groups = 4},
      {.name = "conv.0", .shape = {3, 7}, .kind = StateKind::kConv, .layer = 0, .groups = 1},
      {.name = "ssm.1", .shape = {2, 3, 5}, .kind = StateKind::kRecurrent, .layer = 1, .groups = 2},
      {.name = "conv.1", .shape = {3, 7}, .kind = StateKind::kConv, .layer = 1, .groups = 1}};
  return list;
}

/// A source on one rank and a context for the test's own states.
struct SourceFixture {
  core::Context context{{}, 1};
  std::unique_ptr<dist::Communicator> solo = dist::solo_communicator();
  int64_t rows;
  std::unique_ptr<InitialStateSource> source;

  SourceFixture(const InitialStateConfig& config, int64_t rows, uint64_t seed = 5) : rows(rows) {
    source = make_source(config, {.context = context,
                                  .specs = specs(),
                                  .state_dtype = core::DType::kF64,
                                  .group = *solo,
                                  .batch = rows,
                                  .seed = seed});
  }
  RecurrentState state() { return RecurrentState(context, specs(), core::DType::kF64, rows); }
  RecurrentState random_state(uint64_t seed) {
    RecurrentState made = state();
    for (size_t i = 0; i < made.size(); ++i) {
      assign(made[i], random_values(made[i].elements(), seed * 10 + i, 1.5, 0.3));
    }
    return made;
  }
  /// Every element of row r is r + 1 (conv: 100 + r).
  RecurrentState labelled_state() {
    RecurrentState made = state();
    for (size_t i = 0; i < made.size(); ++i) {
      for (int64_t row = 0; row < rows; ++row) {
        const core::TensorView part = made[i].view().select(0, row);
        const double label =
            static_cast<double>(specs()[i].kind == StateKind::kConv ? 100 + row : row + 1);
        assign(part, std::vector<double>(static_cast<size_t>(part.elements()), label));
      }
    }
    return made;
  }
};

inline bool is_constant(const core::TensorView& view, double value) {
  const std::vector<double> values = values_of(view);
  return std::all_of(values.begin(), values.end(), [&](double v) { return v == value; });
}

}  // namespace longhaul::trainer
