// The recurrence on the device against the plain recurrence in double and its adjoint.
#include "kernels/core/cuda_memory.h"
#include "kernels/cuda_sizes.h"
#include "tests/kernels/device/ssd_on_device.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {
namespace {

using core::DType;
using core::Tensor;

struct SsdPrecision {
  DType dtype;
  double forward, backward;  ///< allowed error, relative to the largest element
};
/// bf16 rounds every operand of the products: y, dx, dB, dC and the states with them.
constexpr SsdPrecision kPrecisions[] = {{DType::kF32, 2e-5, 4e-5}, {DType::kBF16, 1.5e-2, 2e-2}};
/// Those that the device has enough shared memory for.
std::vector<SsdPrecision> precisions() {
  std::vector<SsdPrecision> fitting;
  for (const SsdPrecision& precision : kPrecisions) {
    if (core::cuda_shared_bytes(kCuda) >=
        kernels::ssd_block_bytes(core::DeviceKind::kCuda, precision.dtype)) {
      fitting.push_back(precision);
    }
  }
  return fitting;
}

std::vector<SsdShape> device_shapes() {
  std::vector<SsdShape> shapes = {
      {{1, 0, 2, 4, 1, 3}, 4},
      {{2, 1, 1, 1, 1, 1}, 1},
      {{1, 1, 3, 5, 1, 7}, 64},
      {{1, 65, 2, 64, 1, 64}, 64},
      {{2, 19, 2, 16, 2, 16}, 8},
      {{1, 50, 5, 8, 2, 17}, 16},
      {{1, 150, 1, 2, 1, 3}, 256},
      {{1, 11, 9, 33, 3, 31}, 4},
      {{0, 5, 2, 4, 1, 3}, 4},
      {{1, 40, 2, 6, 1, 4}, 1000},
      {{1, 70, 2, 68, 1, 72}, 48},
      {{1, 131, 3, 8, 1, 8}, 128},
      {{1, 200, 4, 64, 2, 128}, 192},
      {{1, 130, 3, 72, 1, 136}, 128},
      {{1, 300, 35, 8, 1, 8}, 256},
      {{1, 330, 2, 16, 1, 16}, 400},
      {{1, 20, 2, 128, 1, 3}, 16},
      {{1, 90, 129, 2, 1, 3}, 70},
      // In bf16 these go by rows.
      {{1, 260, 2, 64, 1, 128}, 128},
      {{1, 70, 5, 64, 2, 128}, 64},
      {{2, 15, 2, 64, 1, 128}, 128},
      {{1, 36, 7, 64, 3, 128}, 100},
      // And several heads in one block of threads.
      {{1, 128, 40, 64, 1, 128}, 128},
      {{1, 150, 17, 64, 1, 128}, 128},
      {{1, 100, 3, 64, 1, 128}, 128},
  };
  shapes[4].with_D = false;
  shapes[5].with_initial_state = false;
  for (size_t i = 0; i < shapes.size(); ++i) shapes[i].seed = 100 * (i + 1);
  return shapes;
}

void expect_forward(const SsdCase& c, double tolerance) {
  const SsdOutputs expected = reference_ssd(c.shape.sizes, c.rounded_inputs());
  EXPECT_TRUE(close(c.y, expected.y, tolerance)) << "y";
  EXPECT_TRUE(close(c.final_state, expected.final_state, tolerance)) << "final_state";
}

void expect_gradients(const SsdCase& c, double tolerance) {
  const SsdGradients expected = reference_ssd_backward(c.shape.sizes, c.rounded_inputs(),
                                                       values_of(c.dy), values_of(c.dfinal_state));
  const SsdGradients found = c.gradients();
  EXPECT_TRUE(close(found.dx, expected.dx, tolerance)) << "dx";
  EXPECT_TRUE(close(found.ddt, expected.ddt, tolerance)) << "ddt";
  for (size_t h = 0; h < expected.dA_log.size(); ++h) {
    EXPECT_NEAR(found.dA_log[h], expected.dA_log[h], tolerance * expected.dA_log_terms[h])
        << "dA_log of head " << h;
  }
  EXPECT_TRUE(close(found.dB, expected.dB, tolerance)) << "dB";
  EXPECT_TRUE(close(found.dC, expected.dC, tolerance)) << "dC";
  if (c.D) {
    EXPECT_TRUE(close(found.dD, expected.dD, tolerance)) << "dD";
  }
  EXPECT_TRUE(close(found.dinitial_state, expected.dinitial_state, tolerance)) << "dinitial_state";
}

TEST_P(SsdOnDevice, FusedFormIsTheRecurrenceAndItsAdjoint) {
  core::Context context(kCuda);
  for (const SsdPrecision& precision : precisions()) {
    SCOPED_TRACE(name_of(precision.dtype));
    SsdCase c(context, precision.dtype, GetParam(), ssd_inputs(GetParam()), SsdLayout::kPacked);
    kernels::ssd_forward(context, c.forward());
    expect_forward(c, precision.forward);
    kernels::ssd_backward(context, c.backward());
    expect_gradients(c, precision.backward);
  }
}

TEST_P(SsdOnDevice, StagedFormIsTheRecurrenceAndItsAdjoint) {
  core::Context context(kCuda);
  for (const SsdPrecision& precision : precisions()) {
    SCOPED_TRACE(name_of(precision.dtype));
    SsdCase c(context, precision.dtype, GetParam(), ssd_inputs(GetParam()));
    run_staged_forward(context, c);
    expect_forward(c, precision.forward);
    run_staged_backward(context, c);
    expect_gradients(c, precision.backward);
  }
}

INSTANTIATE_TEST_SUITE_P(Ssd, SsdOnDevice, ::testing::ValuesIn(device_shapes()),
                         [](const auto& info) { return name_of(info.param); });

using Ssd = DeviceTest;

TEST_F(Ssd, StepByStepIsTheRecurrence) {
  core::Context context(kCuda);
  const SsdShape shape{{2, 9, 4, 7, 2, 40}, 4};
  for (const SsdPrecision& precision : kPrecisions) {
    SsdCase c(context, precision.dtype, shape, ssd_inputs(shape));
    const Tensor state = Tensor::copy_of(context, c.initial_state);
    for (int64_t t = 0; t < shape.sizes.length; ++t) {
      kernels::ssd_step(context, {.x = c.x.select(1, t),
                                  .dt = c.dt.view().select(1, t),
                                  .A_log = c.A_log,
                                  .B = c.B.select(1, t),
                                  .C = c.C.select(1, t),
                                  .D = c.D,
                                  .state = state,
                                  .y = c.y.view().select(1, t)});
    }
    const SsdOutputs expected = reference_ssd(shape.sizes, c.rounded_inputs());
    EXPECT_TRUE(close(c.y, expected.y, precision.forward));
    EXPECT_TRUE(close(state, expected.final_state, precision.forward));
  }
}

/// More than a grid takes along y and z: one token of one head, from no state.
TEST_F(Ssd, ManySequences) {
  core::Context context(kCuda);
  constexpr int64_t kBatch = 65'537;
  const auto single = [&](core::Shape shape, uint64_t seed) {
    return random_tensor(context, DType::kF32, shape, seed);
  };
  const Tensor x = single({kBatch, 1, 1, 1}, 1), B = single({kBatch, 1, 1, 1}, 2),
               C = single({kBatch, 1, 1, 1}, 3), y(context, DType::kF32, {kBatch, 1, 1, 1}),
               dt = Tensor::from(context, std::vector<float>(kBatch, 0.5f), {kBatch, 1, 1}),
               A_log = Tensor::zeros(context, DType::kF32, {1}),
               state = Tensor::zeros(context, DType::kF32, {kBatch, 1, 1, 1});
  std::vector<double> expected;
  const auto xs = values_of(x), Bs = values_of(B), Cs = values_of(C);
  for (size_t b = 0; b < xs.size(); ++b) expected.push_back(0.5 * xs[b] * Bs[b] * Cs[b]);
  const auto token = [](const Tensor& all) { return all.view().select(1, 0); };
  kernels::ssd_step(context, {.x = token(x),
                              .dt = token(dt),
                              .A_log = A_log,
                              .B = token(B),
                              .C = token(C),
                              .state = state,
                              .y = token(y)});
  EXPECT_TRUE(close(y, expected, kPrecisions[0].forward));
}

/// One block a multiprocessor: 132 at a time, and a part costs as much as four heads.
TEST(SsdParts, AreAsManyAsTakeTheLeastTime) {
  using kernels::cuda::ssd::gradient_parts;
  using kernels::cuda::ssd::head_parts;
  EXPECT_EQ(head_parts(128, 64), 1);
  EXPECT_EQ(head_parts(136, 64), 4);  // 5 waves of 20, not 2 of 68
  EXPECT_EQ(head_parts(16, 64), 8);
  EXPECT_EQ(head_parts(16, 3), 3);
  EXPECT_EQ(head_parts(1, 1), 1);
  EXPECT_EQ(head_parts(0, 64), 1);
  EXPECT_EQ(gradient_parts(16, 64), 4);
  EXPECT_EQ(gradient_parts(128, 64), 1);
}
/// Two blocks a multiprocessor, and a part costs as much as two heads.
TEST(SsdParts, OfYAndDxAreAsManyAsTakeTheLeastTime) {
  using kernels::cuda::ssd::token_parts;
  EXPECT_EQ(token_parts(128, 64), 2);  // one wave of 34; of 4 parts two of 18
  EXPECT_EQ(token_parts(136, 64), 5);  // three waves of 15
  EXPECT_EQ(token_parts(16, 64), 16);  // one wave of 6
  EXPECT_EQ(token_parts(512, 64), 1);
  EXPECT_EQ(token_parts(1, 3), 3);
  EXPECT_EQ(token_parts(0, 1), 1);
}

TEST_F(Ssd, TheMapSaysWhatTheSegmentDoesToAnyState) {
  core::Context context(kCuda);
  const SsdShape shape{{2, 43, 3, 12, 1, 10}, 16};
  SsdCase c(context, DType::kF32, shape, ssd_inputs(shape));
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
  EXPECT_TRUE(close(c.final_state, expected, 1e-5));
  EXPECT_TRUE(close(c.dinitial_state, dexpected, 1e-5));
  auto whole = c.forward();
  whole.log_decay = c.log_decay;
  core::set_zero(context, c.log_decay);
  kernels::ssd_forward(context, whole);
  EXPECT_EQ(values_of(c.log_decay), log_decay);
}

/// Decays as strong and as weak as can be, and tokens without any.
void expect_exact_at_extremes(DType dtype, const SsdShape& shape, double forward, double backward) {
  core::Context context(kCuda);
  for (const auto& [dt, A_log] :
       {std::pair{10.0, 6.0}, {3.0, 1.0}, {1.0, 2.3}, {1e-6, -10.0}, {0.0, 3.0}, {2.0, 200.0}}) {
    SCOPED_TRACE(::testing::Message() << "dt " << dt << ", A_log " << A_log);
    SsdInputs inputs = ssd_inputs(shape);
    std::fill(inputs.dt.begin(), inputs.dt.end(), dt);
    for (size_t i = 0; i < inputs.dt.size(); i += 7) inputs.dt[i] = 0;
    std::fill(inputs.A_log.begin(), inputs.A_log.end(), A_log);
    SsdCase c(context, dtype, shape, inputs);
    run_staged_forward(context, c);
    expect_forward(c, forward);
    if (A_log > 100) continue;  // e^A_log is beyond the oracle's gradients too
    run_staged_backward(context, c);
    const SsdGradients d = reference_ssd_backward(shape.sizes, c.rounded_inputs(), values_of(c.dy),
                                                  values_of(c.dfinal_state));
    EXPECT_TRUE(close(c.dx, d.dx, backward));
    EXPECT_TRUE(close(c.ddt, d.ddt, backward));
    EXPECT_TRUE(close(c.dinitial_state, d.dinitial_state, backward));
  }
}
TEST_F(Ssd, ExtremeDecaysStayFiniteAndExact) {
  expect_exact_at_extremes(DType::kF32, {{1, 45, 2, 12, 1, 10}, 16}, 4e-5, 4e-5);
}
TEST_F(Ssd, ExtremeDecaysByRows) {
  expect_exact_at_extremes(DType::kBF16, {{1, 150, 2, 64, 1, 128}, 128}, 1.5e-2, 2e-2);
}

TEST_F(Ssd, TheSameBitsEveryTime) {
  core::Context context(kCuda);
  for (const auto& [dtype, shape] : {std::pair{DType::kF32, SsdShape{{2, 70, 3, 8, 1, 12}, 32}},
                                     {DType::kBF16, {{2, 70, 3, 8, 1, 12}, 32}},
                                     {DType::kBF16, {{1, 140, 3, 64, 1, 128}, 128}}}) {
    SsdCase a(context, dtype, shape, ssd_inputs(shape)),
        b(context, dtype, shape, ssd_inputs(shape));
    for (SsdCase* c : {&a, &b}) {
      kernels::ssd_forward(context, c->forward());
      kernels::ssd_backward(context, c->backward());
    }
    EXPECT_TRUE(bit_equal(a.y, b.y));
    for (const auto& [mine, theirs] : {std::pair{a.dx, b.dx}, {a.dB, b.dB}, {a.dC, b.dC}}) {
      EXPECT_TRUE(bit_equal(mine, theirs));
    }
    EXPECT_TRUE(bit_equal(a.ddt, b.ddt));
    EXPECT_TRUE(bit_equal(a.dA_log, b.dA_log));
    EXPECT_TRUE(bit_equal(a.dD, b.dD));
    EXPECT_TRUE(bit_equal(a.dinitial_state, b.dinitial_state));
  }
}

}  // namespace
}  // namespace longhaul::testing
