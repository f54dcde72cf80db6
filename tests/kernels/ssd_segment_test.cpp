// What holds across borders: segments, ranks, threads, time, and decays that leave the range of the
// type.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/ssd_case.h"
#include "tests/support/compare.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {
namespace {

using core::DType;
using core::Tensor;
using core::TensorView;

constexpr SsdShape kShape{{2, 83, 6, 12, 2, 10}, 16};

/// The arguments of tokens [begin, end) of a case; states must be set by the caller.
kernels::SsdForward forward_of(const SsdCase& c, int64_t begin, int64_t end) {
  auto args = c.forward();
  for (TensorView* view : {&args.x, &args.dt, &args.B, &args.C, &args.y}) {
    *view = view->slice(1, begin, end);
  }
  return args;
}
kernels::SsdBackward backward_of(const SsdCase& c, int64_t begin, int64_t end) {
  auto args = c.backward();
  for (TensorView* view :
       {&args.x, &args.dt, &args.B, &args.C, &args.dy, &args.dx, &args.ddt, &args.dB, &args.dC}) {
    *view = view->slice(1, begin, end);
  }
  return args;
}

void expect_same_gradients(const SsdGradients& found, const SsdGradients& expected,
                           double tolerance) {
  EXPECT_TRUE(close(found.dx, expected.dx, tolerance)) << "dx";
  EXPECT_TRUE(close(found.ddt, expected.ddt, tolerance)) << "ddt";
  EXPECT_TRUE(close(found.dA_log, expected.dA_log, tolerance)) << "dA_log";
  EXPECT_TRUE(close(found.dB, expected.dB, tolerance)) << "dB";
  EXPECT_TRUE(close(found.dC, expected.dC, tolerance)) << "dC";
  EXPECT_TRUE(close(found.dD, expected.dD, tolerance)) << "dD";
  EXPECT_TRUE(close(found.dinitial_state, expected.dinitial_state, tolerance)) << "dinitial_state";
}

class SsdSplit : public ::testing::TestWithParam<int64_t> {};

/// Forward from left to right with the state handed on, backward from right to left with its
/// gradient.
TEST_P(SsdSplit, TwoSegmentsAreTheWhole) {
  core::Context context;
  const SsdInputs inputs = ssd_inputs(kShape);
  SsdCase whole(context, DType::kF64, kShape, inputs);
  kernels::ssd_forward(context, whole.forward());
  kernels::ssd_backward(context, whole.backward());

  SsdCase parts(context, DType::kF64, kShape, inputs);
  const int64_t cut = GetParam(), length = kShape.sizes.length;
  const Tensor carried = Tensor::zeros(context, DType::kF64, parts.final_state.shape());
  const Tensor dcarried = Tensor::zeros(context, DType::kF64, parts.final_state.shape());
  const auto chunk_states = [&](int64_t tokens) {
    core::Shape shape = parts.chunk_states.shape();
    shape[1] = kernels::ssd_chunks(tokens, kShape.chunk);
    return Tensor::zeros(context, DType::kF64, shape);
  };
  const Tensor left_states = chunk_states(cut), right_states = chunk_states(length - cut);
  auto left = forward_of(parts, 0, cut), right = forward_of(parts, cut, length);
  left.chunk_states = left_states;
  left.final_state = carried;
  right.chunk_states = right_states;
  right.initial_state = carried;
  kernels::ssd_forward(context, left);
  kernels::ssd_forward(context, right);
  EXPECT_TRUE(close(parts.y, values_of(whole.y), 1e-12));
  EXPECT_TRUE(close(parts.final_state, values_of(whole.final_state), 1e-12));

  auto dright = backward_of(parts, cut, length), dleft = backward_of(parts, 0, cut);
  dright.chunk_states = right_states;
  dright.dinitial_state = dcarried;
  dright.dchunk_states = {};
  dleft.chunk_states = left_states;
  dleft.dfinal_state = dcarried;
  dleft.dchunk_states = {};
  kernels::ssd_backward(context, dright);
  kernels::ssd_backward(context, dleft);
  expect_same_gradients(parts.gradients(), whole.gradients(), 1e-11);
}

INSTANTIATE_TEST_SUITE_P(At, SsdSplit, ::testing::Values(0, 1, 16, 41, 82, 83),
                         [](const auto& info) { return std::to_string(info.param); });

/// final = exp(log_decay) S_in + S_ext, and the same scalars carry the gradient back.
TEST(SsdSegment, TheMapSaysWhatTheSegmentDoesToAnyState) {
  core::Context context;
  SsdCase c(context, DType::kF64, kShape, ssd_inputs(kShape));
  run_staged_forward(context, c);
  run_staged_backward(context, c);
  const auto log_decay = values_of(c.log_decay), initial = values_of(c.initial_state),
             from_zero = values_of(c.state_from_zero), dfinal = values_of(c.dfinal_state),
             dfrom_zero = values_of(c.dstate_from_zero);
  const size_t size = initial.size() / log_decay.size();
  std::vector<double> expected, dexpected;
  for (size_t i = 0; i < initial.size(); ++i) {
    const double a = std::exp(log_decay[i / size]);
    expected.push_back(a * initial[i] + from_zero[i]);
    dexpected.push_back(a * dfinal[i] + dfrom_zero[i]);
  }
  EXPECT_TRUE(close(c.final_state, expected, 1e-12));
  EXPECT_TRUE(close(c.dinitial_state, dexpected, 1e-12));
}

TEST(SsdSegment, LogDecayIsExactWhereTheDecayIsNot) {
  core::Context context;
  SsdShape shape{{1, 5000, 2, 1, 1, 1}, 64};
  SsdInputs inputs = ssd_inputs(shape);
  std::fill(inputs.dt.begin(), inputs.dt.end(), 0.25);
  inputs.A_log = {0, std::log(2.0)};
  SsdCase c(context, DType::kF32, shape, inputs);
  kernels::ssd_forward_map(context, c.forward(),
                           {.log_decay = c.log_decay, .state_from_zero = c.state_from_zero});
  EXPECT_TRUE(close(c.log_decay, {-1250, -2500}, 1e-7));
  auto whole = c.forward();
  whole.log_decay = c.log_decay;
  core::set_zero(context, c.log_decay);
  kernels::ssd_forward(context, whole);
  EXPECT_TRUE(close(c.log_decay, {-1250, -2500}, 1e-7));
}

struct Extreme {
  std::string name;
  double dt, A_log;
};
void PrintTo(const Extreme& extreme, std::ostream* out) { *out << extreme.name; }

class SsdExtremes : public ::testing::TestWithParam<Extreme> {};

TEST_P(SsdExtremes, StayFiniteAndExact) {
  core::Context context;
  SsdInputs inputs = ssd_inputs(kShape);
  std::fill(inputs.dt.begin(), inputs.dt.end(), GetParam().dt);
  for (size_t i = 0; i < inputs.dt.size(); i += 7)
    inputs.dt[i] = 0;  // tokens that leave the state alone
  std::fill(inputs.A_log.begin(), inputs.A_log.end(), GetParam().A_log);
  for (const auto& [dtype, tolerance] : {std::pair{DType::kF64, 1e-11}, {DType::kF32, 4e-5}}) {
    for (const bool staged : {false, true}) {
      SCOPED_TRACE(std::string(name_of(dtype)) + (staged ? " staged" : " fused"));
      SsdCase c(context, dtype, kShape, inputs);
      if (staged) {
        run_staged_forward(context, c);
        run_staged_backward(context, c);
      } else {
        kernels::ssd_forward(context, c.forward());
        kernels::ssd_backward(context, c.backward());
      }
      const SsdInputs rounded = c.rounded_inputs();
      const SsdOutputs expected = reference_ssd(kShape.sizes, rounded);
      EXPECT_TRUE(close(c.y, expected.y, tolerance));
      EXPECT_TRUE(close(c.final_state, expected.final_state, tolerance));
      const SsdGradients d =
          reference_ssd_backward(kShape.sizes, rounded, values_of(c.dy), values_of(c.dfinal_state));
      EXPECT_TRUE(close(c.dx, d.dx, tolerance));
      EXPECT_TRUE(close(c.dB, d.dB, tolerance));
      EXPECT_TRUE(close(c.dC, d.dC, tolerance));
      EXPECT_TRUE(close(c.ddt, d.ddt, tolerance));
      EXPECT_TRUE(close(c.dinitial_state, d.dinitial_state, tolerance));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Decay, SsdExtremes,
                         ::testing::Values(Extreme{"forgets_all_at_each_token", 10, 6},
                                           Extreme{"forgets_within_a_chunk", 3, 1},
                                           Extreme{"subnormal_after_some_tokens", 1, 2.3},
                                           Extreme{"forgets_almost_nothing", 1e-6, -10},
                                           Extreme{"no_time_passes", 0, 3}),
                         [](const auto& info) { return info.param.name; });

TEST(SsdSegment, DecayRateBeyondTheTypeForgetsWithoutNaN) {
  core::Context context;
  SsdInputs inputs = ssd_inputs(kShape);
  for (size_t i = 0; i < inputs.dt.size(); i += 7) inputs.dt[i] = 0;
  std::fill(inputs.A_log.begin(), inputs.A_log.end(), 200.0);  // e^200 is above the largest float
  SsdCase c(context, DType::kF32, kShape, inputs);
  run_staged_forward(context, c);
  EXPECT_TRUE(close(c.y, reference_ssd(kShape.sizes, c.rounded_inputs()).y, 2e-5));
  for (const double v : values_of(c.log_decay)) EXPECT_LT(v, -1e30);
}

TEST(SsdSegment, NumberOfThreadsDoesNotChangeABit) {
  const SsdShape shape{{3, 70, 20, 8, 2, 12}, 16};
  const SsdInputs inputs = ssd_inputs(shape);
  core::Context one({}, 1), three({}, 3);
  for (const bool staged : {false, true}) {
    SsdCase a(one, DType::kF32, shape, inputs), b(three, DType::kF32, shape, inputs);
    for (auto& [context, c] : {std::pair<core::Context&, SsdCase&>{one, a}, {three, b}}) {
      if (staged) {
        run_staged_forward(context, c);
        run_staged_backward(context, c);
      } else {
        kernels::ssd_forward(context, c.forward());
        kernels::ssd_backward(context, c.backward());
      }
    }
    EXPECT_TRUE(bit_equal(a.y, b.y));
    EXPECT_TRUE(bit_equal(a.final_state, b.final_state));
    for (const auto& [mine, theirs] : {std::pair{a.dx, b.dx}, {a.dB, b.dB}, {a.dC, b.dC}}) {
      EXPECT_TRUE(bit_equal(mine, theirs));
    }
    EXPECT_TRUE(bit_equal(a.ddt, b.ddt));
    EXPECT_TRUE(bit_equal(a.dA_log, b.dA_log));
    EXPECT_TRUE(bit_equal(a.dD, b.dD));
    EXPECT_TRUE(bit_equal(a.dinitial_state, b.dinitial_state));
  }
}

/// Changing token t leaves every earlier output bit for bit, and the outputs from t on do change.
TEST(SsdSegment, OutputsDoNotSeeLaterTokens) {
  core::Context context;
  const SsdInputs inputs = ssd_inputs(kShape);
  SsdCase before(context, DType::kF32, kShape, inputs);
  kernels::ssd_forward(context, before.forward());
  for (const int64_t t : {0, 5, 16, 47, 82}) {
    SsdCase after(context, DType::kF32, kShape, inputs);
    for (const TensorView& view : {after.x, after.B, after.C, after.dt.view()}) {
      const TensorView token = view.slice(1, t, t + 1);
      auto values = values_of(token);
      for (double& v : values) v = 3 + 2 * v;
      assign(token, values);
    }
    kernels::ssd_forward(context, after.forward());
    const TensorView y = after.y, old = before.y;
    EXPECT_EQ(values_of(y.slice(1, 0, t)), values_of(old.slice(1, 0, t)));
    EXPECT_NE(values_of(y.slice(1, t, t + 1)), values_of(old.slice(1, t, t + 1)));
  }
}

TEST(SsdSegment, AnEmptySegmentHandsStatesOn) {
  core::Context context;
  const SsdShape shape{{2, 0, 3, 4, 1, 5}, 8};
  SsdCase c(context, DType::kF32, shape, ssd_inputs(shape));
  kernels::ssd_forward(context, c.forward());
  kernels::ssd_backward(context, c.backward());
  EXPECT_TRUE(bit_equal(c.final_state, c.initial_state));
  EXPECT_TRUE(bit_equal(c.dinitial_state, c.dfinal_state));
  run_staged_forward(context, c);
  run_staged_backward(context, c);
  EXPECT_TRUE(bit_equal(c.final_state, c.initial_state));
  EXPECT_TRUE(bit_equal(c.dinitial_state, c.dfinal_state));
  for (const double v : values_of(c.log_decay)) EXPECT_EQ(v, 0);
  for (const double v : values_of(c.state_from_zero)) EXPECT_EQ(v, 0);
  for (const double v : values_of(c.dstate_from_zero)) EXPECT_EQ(v, 0);
}

}  // namespace
}  // namespace longhaul::testing
