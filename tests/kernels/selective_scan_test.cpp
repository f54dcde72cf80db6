// The selective scan on the CPU against the plain recurrence and its adjoint, and what holds across
// borders: segments, ranks, threads, time.
#include "kernels/selective_scan/selective_scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/core/error.h"
#include "tests/kernels/scan_case.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {
namespace {

using core::DType;
using core::Tensor;

constexpr ScanShape kShape{{2, 200, 70, 6}};

class ScanShapes : public ::testing::TestWithParam<ScanShape> {
 protected:
  ScanShapes() : inputs(scan_inputs(GetParam())) {}
  core::Context context{{}, 1};  // that threads change nothing is a test of its own
  ScanInputs inputs;
};

TEST_P(ScanShapes, AreTheRecurrenceAndItsAdjoint) {
  for (const auto& [dtype, tolerance] : {std::pair{DType::kF64, 1e-11}, {DType::kF32, 2e-5}}) {
    SCOPED_TRACE(name_of(dtype));
    const ScanCase c(context, dtype, GetParam(), inputs);
    c.run(context);
    c.expect_forward(tolerance);
    c.expect_gradients(tolerance);
  }
}

TEST_P(ScanShapes, SlicesOfWiderBuffersGiveTheSameBits) {
  const ScanCase separate(context, DType::kF32, GetParam(), inputs);
  const ScanCase slices(context, DType::kF32, GetParam(), inputs, ScanLayout::kSlices);
  separate.run(context);
  slices.run(context);
  EXPECT_EQ(slices.outputs(), separate.outputs());
}

TEST_P(ScanShapes, WorkspaceIsWhatIsTaken) {
  ScanCase(context, DType::kF32, GetParam(), inputs).expect_workspaces(context);
}

INSTANTIATE_TEST_SUITE_P(Scan, ScanShapes, ::testing::ValuesIn(scan_shapes()),
                         [](const auto& info) { return name_of(info.param); });

class ScanGradientCheck : public ::testing::TestWithParam<ScanShape> {};

TEST_P(ScanGradientCheck, BackwardIsTheDerivativeOfForward) {
  core::Context context({}, 1);
  const ScanShape shape = GetParam();
  const ScanInputs start = scan_inputs(shape);
  const auto case_of = [&](const Values& in) {
    return ScanCase(context, DType::kF64, shape,
                    {.x = in.at("x"),
                     .dt = in.at("dt"),
                     .dt_bias = in.at("dt_bias"),
                     .A_log = in.at("A_log"),
                     .B = in.at("B"),
                     .C = in.at("C"),
                     .D = in.at("D"),
                     .initial_state = in.at("initial_state")});
  };
  GradientCheck check;
  check.inputs = {{"x", start.x},
                  {"dt", start.dt},
                  {"dt_bias", start.dt_bias},
                  {"A_log", start.A_log},
                  {"B", start.B},
                  {"C", start.C},
                  {"D", start.D},
                  {"initial_state", start.initial_state}};
  check.forward = [&](const Values& in) {
    const ScanCase c = case_of(in);
    kernels::selective_scan_forward(context, c.forward());
    return Values{{"y", values_of(c.y)}, {"final_state", values_of(c.final_state)}};
  };
  check.backward = [&](const Values& in, const Values& upstream) {
    const ScanCase c = case_of(in);
    assign(c.dy, upstream.at("y"));
    assign(c.dfinal_state, upstream.at("final_state"));
    c.run(context);
    const ScanGradients d = c.gradients();
    return Values{{"x", d.dx},
                  {"dt", d.ddt},
                  {"dt_bias", d.ddt_bias},
                  {"A_log", d.dA_log},
                  {"B", d.dB},
                  {"C", d.dC},
                  {"D", d.dD},
                  {"initial_state", d.dinitial_state}};
  };
  EXPECT_TRUE(check_gradients(check));
}

INSTANTIATE_TEST_SUITE_P(Scan, ScanGradientCheck,
                         ::testing::Values(ScanShape{{1, 3, 1, 1}}, ScanShape{{2, 13, 12, 5}},
                                           ScanShape{{1, 70, 66, 4}}),
                         [](const auto& info) { return name_of(info.param); });

class ScanSplit : public ::testing::TestWithParam<int64_t> {};

/// Forward from left to right with the state handed on, backward from right to left with its
/// gradient. What has a row a token comes out the same bit by bit, wherever the cut is.
TEST_P(ScanSplit, TwoSegmentsAreTheWhole) {
  core::Context context;
  const ScanInputs inputs = scan_inputs(kShape);
  const int64_t cut = GetParam(), length = kShape.sizes.length;
  for (const DType dtype : {DType::kF64, DType::kF32}) {
    const ScanCase whole(context, dtype, kShape, inputs), parts(context, dtype, kShape, inputs);
    whole.run(context);
    const auto chunk_states = [&](int64_t tokens) {
      core::Shape shape = parts.chunk_states.shape();
      shape[1] = kernels::scan_chunks(tokens);
      return Tensor::zeros(context, dtype, shape);
    };
    const Tensor carried = Tensor::zeros(context, dtype, parts.final_state.shape()),
                 dcarried = Tensor::zeros(context, dtype, parts.final_state.shape()),
                 left_states = chunk_states(cut), right_states = chunk_states(length - cut);
    auto left = parts.forward(0, cut), right = parts.forward(cut, length);
    left.chunk_states = left_states;
    left.final_state = right.initial_state = carried;
    right.chunk_states = right_states;
    kernels::selective_scan_forward(context, left);
    kernels::selective_scan_forward(context, right);
    auto dright = parts.backward(cut, length), dleft = parts.backward(0, cut);
    dright.chunk_states = right_states;
    dright.dinitial_state = dleft.dfinal_state = dcarried;
    dleft.chunk_states = left_states;
    kernels::selective_scan_backward(context, dright);
    kernels::selective_scan_backward(context, dleft);

    for (const auto& [mine, theirs] : {std::pair{parts.y, whole.y},
                                       {parts.final_state, whole.final_state},
                                       {parts.dx, whole.dx},
                                       {parts.ddt, whole.ddt},
                                       {parts.dB, whole.dB},
                                       {parts.dC, whole.dC},
                                       {parts.dinitial_state, whole.dinitial_state}}) {
      EXPECT_TRUE(bit_equal(mine, theirs));
    }
    const double tolerance = dtype == DType::kF64 ? 1e-13 : 1e-5;
    EXPECT_TRUE(close(parts.dA_log, values_of(whole.dA_log), tolerance));
    EXPECT_TRUE(close(parts.dD, values_of(whole.dD), tolerance));
    EXPECT_TRUE(close(parts.ddt_bias, values_of(whole.ddt_bias), tolerance));
  }
}

INSTANTIATE_TEST_SUITE_P(At, ScanSplit, ::testing::Values(0, 1, 64, 100, 128, 199, 200),
                         [](const auto& info) { return std::to_string(info.param); });

/// final = a ⊙ h_in + h_ext with a = exp(log_decay), and the same a carries the gradient back.
TEST(Scan, TheMapSaysWhatTheSegmentDoesToAnyState) {
  core::Context context;
  const ScanCase c(context, DType::kF64, kShape, scan_inputs(kShape));
  c.run(context);
  const auto whole_decay = values_of(c.log_decay);
  auto forward = c.forward();
  forward.C = forward.D = forward.y = {};
  kernels::selective_scan_map(context, forward, {c.log_decay, c.state_from_zero});
  auto backward = c.backward();
  backward.x = backward.B = backward.D = backward.chunk_states = {};
  kernels::selective_scan_backward_map(context, backward, c.dstate_from_zero);
  const auto log_decay = values_of(c.log_decay), initial = values_of(c.initial_state),
             from_zero = values_of(c.state_from_zero), dfinal = values_of(c.dfinal_state),
             dfrom_zero = values_of(c.dstate_from_zero);
  EXPECT_EQ(log_decay, whole_decay);
  std::vector<double> expected, dexpected;
  for (size_t i = 0; i < initial.size(); ++i) {
    const double a = std::exp(log_decay[i]);
    expected.push_back(a * initial[i] + from_zero[i]);
    dexpected.push_back(a * dfinal[i] + dfrom_zero[i]);
  }
  EXPECT_TRUE(close(c.final_state, expected, 1e-12));
  EXPECT_TRUE(close(c.dinitial_state, dexpected, 1e-12));

  auto alone = c.backward();
  alone.dfinal_state = {};
  kernels::selective_scan_backward(context, alone);
  EXPECT_TRUE(close(c.dinitial_state, dfrom_zero, 1e-12));
}

TEST(Scan, LogDecayIsExactWhereTheDecayIsNot) {
  core::Context context;
  const ScanShape shape{{1, 5000, 2, 1}};
  ScanInputs inputs = scan_inputs(shape);
  std::fill(inputs.dt.begin(), inputs.dt.end(), std::log(std::expm1(0.25)));
  std::fill(inputs.dt_bias.begin(), inputs.dt_bias.end(), 0);
  inputs.A_log = {0, std::log(2.0)};
  const ScanCase c(context, DType::kF32, shape, inputs);
  kernels::selective_scan_map(context, c.forward(), {c.log_decay, c.state_from_zero});
  EXPECT_TRUE(close(c.log_decay, {-1250, -2500}, 2e-7));
}

TEST(Scan, AbsentArgumentsCountAsZero) {
  core::Context context;
  ScanShape shape = kShape;
  shape.with_initial_state = false;
  const ScanCase c(context, DType::kF64, shape, scan_inputs(shape));
  auto forward = c.forward();
  forward.final_state = forward.chunk_states = forward.log_decay = {};
  kernels::selective_scan_forward(context, forward);
  EXPECT_TRUE(close(c.y, reference_scan(shape.sizes, c.rounded_inputs()).y, 1e-12));

  kernels::selective_scan_forward(context, c.forward());
  auto backward = c.backward();
  backward.dfinal_state = backward.dinitial_state = {};
  kernels::selective_scan_backward(context, backward);
  const auto expected =
      reference_scan_backward(shape.sizes, c.rounded_inputs(), values_of(c.dy), {});
  EXPECT_TRUE(close(c.dx, expected.dx, 1e-11));
  EXPECT_TRUE(close(c.ddt, expected.ddt, 1e-11));
  EXPECT_TRUE(close(c.dB, expected.dB, 1e-11));
  EXPECT_TRUE(close(c.dA_log, expected.dA_log, 1e-11));
}

TEST(Scan, TheFinalStateMayTakeThePlaceOfTheInitialState) {
  core::Context context;
  const ScanCase apart(context, DType::kF32, kShape, scan_inputs(kShape)),
      in_place(context, DType::kF32, kShape, scan_inputs(kShape));
  kernels::selective_scan_forward(context, apart.forward());
  auto args = in_place.forward();
  args.final_state = in_place.initial_state;
  kernels::selective_scan_forward(context, args);
  EXPECT_TRUE(bit_equal(in_place.y, apart.y));
  EXPECT_TRUE(bit_equal(in_place.initial_state, apart.final_state));
}

TEST(Scan, GradientsOfParametersAreAccumulated) {
  core::Context context;
  const ScanCase c(context, DType::kF64, kShape, scan_inputs(kShape));
  c.run(context);
  const auto twice = [](std::vector<double> values) {
    for (double& v : values) v *= 2;
    return values;
  };
  const auto dA_log = twice(values_of(c.dA_log)), dD = twice(values_of(c.dD)),
             ddt_bias = twice(values_of(c.ddt_bias));
  kernels::selective_scan_backward(context, c.backward());
  EXPECT_TRUE(close(c.dA_log, dA_log, 1e-15));
  EXPECT_TRUE(close(c.dD, dD, 1e-15));
  EXPECT_TRUE(close(c.ddt_bias, ddt_bias, 1e-15));
}

TEST(Scan, NumberOfThreadsDoesNotChangeABit) {
  const ScanShape shape{{3, 130, 200, 6}};
  const ScanInputs inputs = scan_inputs(shape);
  core::Context one({}, 1), two({}, 2), five({}, 5);
  const ScanCase a(one, DType::kF32, shape, inputs), b(two, DType::kF32, shape, inputs),
      c(five, DType::kF32, shape, inputs);
  a.run(one);
  b.run(two);
  c.run(five);
  EXPECT_EQ(b.outputs(), a.outputs());
  EXPECT_EQ(c.outputs(), a.outputs());
}

struct ScanExtreme {
  std::string name;
  double dt, A_log;
};
void PrintTo(const ScanExtreme& extreme, std::ostream* out) { *out << extreme.name; }
class ScanExtremes : public ::testing::TestWithParam<ScanExtreme> {};

/// Every third token has a time step of its own, so that there is something to forget.
TEST_P(ScanExtremes, StayFiniteAndExact) {
  core::Context context;
  ScanInputs inputs = scan_inputs(kShape);
  for (size_t i = 0; i < inputs.dt.size(); ++i) {
    if (i / static_cast<size_t>(kShape.sizes.channels) % 3 != 0) inputs.dt[i] = GetParam().dt;
  }
  std::fill(inputs.dt_bias.begin(), inputs.dt_bias.end(), 0);
  std::fill(inputs.A_log.begin(), inputs.A_log.end(), GetParam().A_log);
  for (const auto& [dtype, tolerance] : {std::pair{DType::kF64, 1e-11}, {DType::kF32, 4e-5}}) {
    const ScanCase c(context, dtype, kShape, inputs);
    c.run(context);
    c.expect_forward(tolerance);
    c.expect_gradients(tolerance);
  }
}

INSTANTIATE_TEST_SUITE_P(Decay, ScanExtremes,
                         ::testing::Values(ScanExtreme{"no_time_passes", -40, 0},
                                           ScanExtreme{"time_below_a_denormal_float", -120, 2},
                                           ScanExtreme{"forgets_all_at_a_token", 40, 4},
                                           ScanExtreme{"time_beyond_the_range_of_e_to_it", 1000, 1},
                                           ScanExtreme{"forgets_almost_nothing", -3, -12},
                                           ScanExtreme{"subnormal_after_some_tokens", 3, 2.3}),
                         [](const auto& info) { return info.param.name; });

TEST(Scan, DecayRateBeyondTheTypeForgetsWithoutNaN) {
  core::Context context;
  ScanInputs inputs = scan_inputs(kShape);
  std::fill(inputs.A_log.begin(), inputs.A_log.end(), 200.0);  // e^200 is above the largest float
  const ScanCase c(context, DType::kF32, kShape, inputs);
  c.run(context);
  EXPECT_TRUE(close(c.y, reference_scan(kShape.sizes, c.rounded_inputs()).y, 2e-5));
  for (const double v : values_of(c.log_decay)) EXPECT_LT(v, -1e30);
  for (const double v : values_of(c.dA_log)) EXPECT_EQ(v, 0);
  std::fill(inputs.dt.begin(), inputs.dt.end(), -200.0);  // time steps of 0
  const ScanCase still(context, DType::kF32, kShape, inputs);
  kernels::selective_scan_forward(context, still.forward());
  EXPECT_TRUE(bit_equal(still.final_state, still.initial_state));
  EXPECT_TRUE(close(still.log_decay, std::vector<double>(still.log_decay.elements(), 0.0), 0));
}

TEST(Scan, OutputsDoNotSeeLaterTokens) {
  core::Context context;
  const ScanInputs inputs = scan_inputs(kShape);
  const ScanCase before(context, DType::kF32, kShape, inputs);
  kernels::selective_scan_forward(context, before.forward());
  for (const int64_t t : {0, 5, 64, 127, 199}) {
    const ScanCase after(context, DType::kF32, kShape, inputs);
    for (const core::TensorView& view : {after.x, after.B, after.C, after.dt}) {
      const core::TensorView token = view.slice(1, t, t + 1);
      auto values = values_of(token);
      for (double& v : values) v = 3 + 2 * v;
      assign(token, values);
    }
    kernels::selective_scan_forward(context, after.forward());
    EXPECT_EQ(values_of(after.y.slice(1, 0, t)), values_of(before.y.slice(1, 0, t)));
    EXPECT_NE(values_of(after.y.slice(1, t, t + 1)), values_of(before.y.slice(1, t, t + 1)));
  }
}

TEST(Scan, AnEmptySegmentHandsStatesOn) {
  core::Context context;
  const ScanShape shape{{2, 0, 7, 5}};
  const ScanCase c(context, DType::kF32, shape, scan_inputs(shape));
  c.run(context);
  kernels::selective_scan_backward_map(context, c.backward(), c.dstate_from_zero);
  EXPECT_TRUE(bit_equal(c.final_state, c.initial_state));
  EXPECT_TRUE(bit_equal(c.dinitial_state, c.dfinal_state));
  for (const double v : values_of(c.log_decay)) EXPECT_EQ(v, 0);
  kernels::selective_scan_map(context, c.forward(), {c.log_decay, c.state_from_zero});
  for (const core::TensorView& zeros : std::initializer_list<core::TensorView>{
           c.log_decay, c.state_from_zero, c.dstate_from_zero, c.dA_log, c.dD, c.ddt_bias}) {
    for (const double v : values_of(zeros)) EXPECT_EQ(v, 0);
  }
}

TEST(Scan, Bfloat16OnTheCpuIsAnErrorThatSaysSo) {
  core::Context context;
  const ScanShape shape{{1, 2, 3, 2}};
  const ScanCase c(context, DType::kBF16, shape, scan_inputs(shape));
  try {
    kernels::selective_scan_forward(context, c.forward());
    FAIL() << "no error";
  } catch (const core::Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("bf16"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("selective_scan_forward"));
  }
}

TEST(ScanDeathTest, WrongShapesAreNamed) {
  core::Context context;
  const ScanShape shape{{1, 2, 3, 2}};
  const ScanCase c(context, DType::kF32, shape, scan_inputs(shape));
  auto args = c.forward();
  args.B = c.x;
  EXPECT_DEATH(kernels::selective_scan_forward(context, args), "B is");
  args = c.forward();
  args.chunk_states = c.final_state;
  EXPECT_DEATH(kernels::selective_scan_forward(context, args), "chunk_states");
  auto backward = c.backward();
  backward.dA_log = c.dD;
  EXPECT_DEATH(kernels::selective_scan_backward(context, backward), "dA_log");
}

}  // namespace
}  // namespace longhaul::testing
