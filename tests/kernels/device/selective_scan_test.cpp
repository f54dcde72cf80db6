// The selective scan on the device against the plain recurrence in double and its adjoint.
#include "kernels/selective_scan/selective_scan.h"

#include "kernels/selective_scan/scan_sizes.h"
#include "tests/kernels/device/device_test.h"
#include "tests/kernels/scan_case.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {
namespace {

using core::DType;
using core::Tensor;
using core::TensorView;

/// bf16 rounds what is read and y, dx, ddt, dB and dC at the end; all between is fp32.
constexpr Precision kPrecisions[] = {{DType::kF32, 3e-5}, {DType::kBF16, 8e-3}};

/// A state above 16 takes more shared memory than small devices have.
bool device_takes(DType dtype, int64_t state) {
  return core::cuda_shared_bytes(kCuda) >=
         kernels::scan_block_bytes(core::DeviceKind::kCuda, dtype, state);
}

/// Besides those of the CPU, of few blocks of threads, and so of runs of one chunk: one run of two
/// chunks, and four of five.
std::vector<ScanShape> device_shapes() {
  std::vector<ScanShape> shapes = scan_shapes();
  shapes.push_back({{280, 70, 2, 3}});
  shapes.push_back({{128, 260, 1, 16}});
  return shapes;
}

class ScanOnDevice : public DeviceTest, public ::testing::WithParamInterface<ScanShape> {};

TEST_P(ScanOnDevice, IsTheRecurrenceAndItsAdjoint) {
  core::Context context(kCuda);
  for (const Precision& precision : kPrecisions) {
    if (!device_takes(precision.dtype, GetParam().sizes.state)) continue;
    for (const ScanLayout layout : {ScanLayout::kSeparate, ScanLayout::kSlices}) {
      SCOPED_TRACE(name_of(precision.dtype));
      const ScanCase c(context, precision.dtype, GetParam(), scan_inputs(GetParam()), layout);
      c.run(context);
      c.expect_forward(precision.tolerance);
      c.expect_gradients(precision.tolerance);
      if (GetParam().sizes.batch > 100) return;  // is slow
    }
  }
}

TEST_P(ScanOnDevice, WorkspaceIsWhatIsTaken) {
  const ScanSizes& n = GetParam().sizes;
  if (n.batch > 100 || !device_takes(DType::kBF16, n.state)) return;  // the former is slow
  core::Context context(kCuda);
  ScanCase(context, DType::kBF16, GetParam(), scan_inputs(GetParam())).expect_workspaces(context);
}

INSTANTIATE_TEST_SUITE_P(Scan, ScanOnDevice, ::testing::ValuesIn(device_shapes()),
                         [](const auto& info) { return name_of(info.param); });

using Scan = DeviceTest;

TEST_F(Scan, RunsAreAsManyAsTheDeviceTakesAtOnce) {
  using kernels::cuda::scan::chunk_runs;
  EXPECT_EQ(chunk_runs(32, 32, 16, true), 16);
  EXPECT_EQ(chunk_runs(32, 4, 16, true), 4);
  EXPECT_EQ(chunk_runs(256, 32, 16, true), 1);  // two would take as long
  EXPECT_EQ(chunk_runs(256, 32, 16, false), 2);
  EXPECT_EQ(chunk_runs(600, 32, 16, true), 1);
  EXPECT_EQ(chunk_runs(600, 32, 17, true), 32);  // more states than a thread holds
  EXPECT_EQ(chunk_runs(1, 0, 17, true), 1);
}

TEST_F(Scan, TakesNoMoreSharedMemoryThanSmallDevicesHave) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const auto bytes = [&](int64_t state) {
      return kernels::scan_block_bytes(core::DeviceKind::kCuda, dtype, state);
    };
    EXPECT_LE(bytes(16), kernels::cuda::kSharedOfSmallDevices);
    EXPECT_GT(bytes(17), kernels::cuda::kSharedOfSmallDevices);
    EXPECT_LE(bytes(1000), kernels::cuda::kSharedOfFullDevices);
  }
  EXPECT_EQ(kernels::scan_block_bytes(core::DeviceKind::kCpu, DType::kF32, 16), 0);
}

/// final = a ⊙ h_in + h_ext with a = exp(log_decay), and the same a carries the gradient back.
TEST_F(Scan, TheMapSaysWhatTheSegmentDoesToAnyState) {
  core::Context context(kCuda);
  for (const ScanShape& shape : {ScanShape{{2, 200, 70, 6}}, {{1, 40, 9, 16}}, {{1, 70, 5, 20}}}) {
    if (!device_takes(DType::kF32, shape.sizes.state)) continue;
    const ScanCase c(context, DType::kF32, shape, scan_inputs(shape));
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
    EXPECT_TRUE(close(c.log_decay, whole_decay, 1e-6));
    std::vector<double> expected, dexpected;
    for (size_t i = 0; i < initial.size(); ++i) {
      const double a = std::exp(log_decay[i]);
      expected.push_back(a * initial[i] + from_zero[i]);
      dexpected.push_back(a * dfinal[i] + dfrom_zero[i]);
    }
    EXPECT_TRUE(close(c.final_state, expected, 1e-5));
    EXPECT_TRUE(close(c.dinitial_state, dexpected, 1e-5));
  }
}

/// Forward from left to right with the state handed on in place, backward with its gradient.
TEST_F(Scan, TwoSegmentsAreTheWhole) {
  core::Context context(kCuda);
  const ScanShape shape{{2, 140, 20, 16}};
  const ScanInputs inputs = scan_inputs(shape);
  const int64_t length = shape.sizes.length;
  const ScanCase whole(context, DType::kF32, shape, inputs);
  whole.run(context);
  for (const int64_t cut : {0, 1, 64, 100, 140}) {
    const ScanCase parts(context, DType::kF32, shape, inputs);
    const auto chunk_states = [&](int64_t tokens) {
      core::Shape states = parts.chunk_states.shape();
      states[1] = kernels::scan_chunks(tokens);
      return Tensor::zeros(context, DType::kF32, states);
    };
    const Tensor carried = Tensor::copy_of(context, parts.initial_state),
                 dcarried = Tensor::copy_of(context, parts.dfinal_state),
                 left_states = chunk_states(cut), right_states = chunk_states(length - cut);
    auto left = parts.forward(0, cut), right = parts.forward(cut, length);
    left.chunk_states = left_states;
    right.chunk_states = right_states;
    auto dright = parts.backward(cut, length), dleft = parts.backward(0, cut);
    dright.chunk_states = right_states;
    dleft.chunk_states = left_states;
    for (auto* args : {&left, &right}) args->initial_state = args->final_state = carried;
    for (auto* args : {&dleft, &dright}) args->dfinal_state = args->dinitial_state = dcarried;
    kernels::selective_scan_forward(context, left);
    kernels::selective_scan_forward(context, right);
    kernels::selective_scan_backward(context, dright);
    kernels::selective_scan_backward(context, dleft);
    EXPECT_TRUE(close(carried, values_of(whole.final_state), 1e-5));
    EXPECT_TRUE(close(dcarried, values_of(whole.dinitial_state), 1e-5));
    for (const auto& [mine, theirs] : {std::pair{parts.y, whole.y},
                                       {parts.dx, whole.dx},
                                       {parts.ddt, whole.ddt},
                                       {parts.dB, whole.dB},
                                       {parts.dC, whole.dC},
                                       {parts.dA_log, whole.dA_log},
                                       {parts.dD, whole.dD},
                                       {parts.ddt_bias, whole.ddt_bias}}) {
      EXPECT_TRUE(close(mine, values_of(theirs), 1e-5));
    }
  }
}

TEST_F(Scan, AbsentArgumentsCountAsZero) {
  core::Context context(kCuda);
  for (const int64_t length : {40, 150}) {
    const ScanShape shape{{1, length, 7, 16}, false};
    const ScanCase c(context, DType::kF32, shape, scan_inputs(shape));
    auto forward = c.forward();
    forward.final_state = forward.chunk_states = forward.log_decay = {};
    kernels::selective_scan_forward(context, forward);
    EXPECT_TRUE(close(c.y, reference_scan(shape.sizes, c.rounded_inputs()).y, 2e-5));
    kernels::selective_scan_forward(context, c.forward());
    auto backward = c.backward();
    backward.dfinal_state = backward.dinitial_state = {};
    kernels::selective_scan_backward(context, backward);
    const auto expected =
        reference_scan_backward(shape.sizes, c.rounded_inputs(), values_of(c.dy), {});
    EXPECT_TRUE(close(c.dx, expected.dx, 2e-5));
    EXPECT_TRUE(close(c.ddt, expected.ddt, 2e-5));
    EXPECT_TRUE(close(c.dB, expected.dB, 2e-5));
  }
}

TEST_F(Scan, ParameterGradientsAreAccumulatedAndTheSameBitsEveryTime) {
  core::Context context(kCuda);
  const ScanShape shape{{2, 130, 70, 16}};
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const ScanCase a(context, dtype, shape, scan_inputs(shape)),
        b(context, dtype, shape, scan_inputs(shape));
    a.run(context);
    b.run(context);
    EXPECT_EQ(b.outputs(), a.outputs());
    const auto twice = [](std::vector<double> values) {
      for (double& v : values) v *= 2;
      return values;
    };
    kernels::selective_scan_backward(context, b.backward());
    EXPECT_TRUE(close(b.dA_log, twice(values_of(a.dA_log)), 1e-6));
    EXPECT_TRUE(close(b.dD, twice(values_of(a.dD)), 1e-6));
    EXPECT_TRUE(close(b.ddt_bias, twice(values_of(a.ddt_bias)), 1e-6));
  }
}

/// Time steps and decays as strong and as weak as can be; every third token has a step of its own.
TEST_F(Scan, ExtremesStayFiniteAndExact) {
  core::Context context(kCuda);
  const ScanShape shape{{1, 140, 6, 16}};
  for (const auto& [dt, A_log] : {std::pair{-40.0, 0.0},
                                  {-120.0, 2.0},
                                  {40.0, 4.0},
                                  {1000.0, 1.0},
                                  {-3.0, -12.0},
                                  {3.0, 2.3}}) {
    SCOPED_TRACE(::testing::Message() << "dt " << dt << ", A_log " << A_log);
    ScanInputs inputs = scan_inputs(shape);
    for (size_t i = 0; i < inputs.dt.size(); ++i) {
      if (i / static_cast<size_t>(shape.sizes.channels) % 3 != 0) inputs.dt[i] = dt;
    }
    std::fill(inputs.dt_bias.begin(), inputs.dt_bias.end(), 0);
    std::fill(inputs.A_log.begin(), inputs.A_log.end(), A_log);
    const ScanCase c(context, DType::kF32, shape, inputs);
    c.run(context);
    c.expect_forward(4e-5);
    c.expect_gradients(4e-5);
  }
}

/// Where e^{−Δ} is 1 but for some last bits.
TEST_F(Scan, SmallTimeStepsHaveExactGradients) {
  core::Context context(kCuda);
  const ScanShape shape{{1, 20, 6, 16}};
  ScanInputs inputs = scan_inputs(shape);
  std::fill(inputs.dt.begin(), inputs.dt.end(), -12.0);
  std::fill(inputs.dt_bias.begin(), inputs.dt_bias.end(), 0);
  const ScanCase c(context, DType::kF32, shape, inputs);
  c.run(context);
  c.expect_gradients(1e-5);
}

TEST_F(Scan, DecayRateBeyondTheTypeForgetsWithoutNaN) {
  core::Context context(kCuda);
  const ScanShape shape{{1, 70, 6, 16}};
  ScanInputs inputs = scan_inputs(shape);
  std::fill(inputs.A_log.begin(), inputs.A_log.end(), 200.0);
  const ScanCase c(context, DType::kF32, shape, inputs);
  kernels::selective_scan_forward(context, c.forward());
  EXPECT_TRUE(close(c.y, reference_scan(shape.sizes, c.rounded_inputs()).y, 2e-5));
  for (const double v : values_of(c.log_decay)) EXPECT_LT(v, -1e30);
  std::fill(inputs.dt.begin(), inputs.dt.end(), -200.0);  // time steps of 0
  const ScanCase still(context, DType::kF32, shape, inputs);
  kernels::selective_scan_forward(context, still.forward());
  EXPECT_TRUE(bit_equal(still.final_state, still.initial_state));
}

TEST_F(Scan, AnEmptySegmentHandsStatesOn) {
  core::Context context(kCuda);
  for (const int64_t state : {5, 16, 40}) {
    if (!device_takes(DType::kF32, state)) continue;
    const ScanShape shape{{2, 0, 7, state}};
    const ScanCase c(context, DType::kF32, shape, scan_inputs(shape));
    c.run(context);
    EXPECT_TRUE(bit_equal(c.final_state, c.initial_state));
    EXPECT_TRUE(bit_equal(c.dinitial_state, c.dfinal_state));
    kernels::selective_scan_map(context, c.forward(), {c.log_decay, c.state_from_zero});
    kernels::selective_scan_backward_map(context, c.backward(), c.dstate_from_zero);
    for (const TensorView& zeros : std::initializer_list<TensorView>{
             c.log_decay, c.state_from_zero, c.dstate_from_zero, c.dA_log, c.dD, c.ddt_bias}) {
      for (const double v : values_of(zeros)) EXPECT_EQ(v, 0);
    }
  }
}

}  // namespace
}  // namespace longhaul::testing
