// The chunked forms against the plain recurrence and its adjoint, shape by shape.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/core/error.h"
#include "tests/kernels/ssd_case.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {
namespace {

using core::DType;
using core::Tensor;

struct Precision {
  DType dtype;
  double forward, backward;  ///< allowed error, relative to the largest element
};
constexpr Precision kDouble{DType::kF64, 1e-12, 1e-11};
constexpr Precision kSingle{DType::kF32, 2e-5, 4e-5};

class SsdShapes : public ::testing::TestWithParam<SsdShape> {
 protected:
  SsdShapes() : inputs(ssd_inputs(GetParam())) {}
  core::Context context{{}, 1};  // that threads change nothing is a test of its own
  SsdInputs inputs;
};

/// The reference's states where chunks begin.
std::vector<double> entering_states(const SsdShape& shape, const SsdOutputs& reference) {
  const SsdSizes& n = shape.sizes;
  const int64_t size = n.heads * n.head_dim * n.state;
  std::vector<double> entering;
  for (int64_t b = 0; b < n.batch; ++b) {
    for (int64_t t = 0; t < n.length; t += shape.chunk) {
      const auto begin = reference.states.begin() + (b * (n.length + 1) + t) * size;
      entering.insert(entering.end(), begin, begin + size);
    }
  }
  return entering;
}

void expect_forward(const SsdCase& c, double tolerance) {
  const SsdOutputs expected = reference_ssd(c.shape.sizes, c.rounded_inputs());
  EXPECT_TRUE(close(c.y, expected.y, tolerance));
  EXPECT_TRUE(close(c.final_state, expected.final_state, tolerance));
  EXPECT_TRUE(close(c.chunk_states, entering_states(c.shape, expected), tolerance));
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

TEST_P(SsdShapes, FusedFormIsTheRecurrenceAndItsAdjoint) {
  for (const Precision& precision : {kDouble, kSingle}) {
    SCOPED_TRACE(name_of(precision.dtype));
    SsdCase c(context, precision.dtype, GetParam(), inputs);
    kernels::ssd_forward(context, c.forward());
    expect_forward(c, precision.forward);
    kernels::ssd_backward(context, c.backward());
    expect_gradients(c, precision.backward);
  }
}

TEST_P(SsdShapes, StagedFormIsTheRecurrenceAndItsAdjoint) {
  for (const Precision& precision : {kDouble, kSingle}) {
    SCOPED_TRACE(name_of(precision.dtype));
    SsdCase c(context, precision.dtype, GetParam(), inputs);
    run_staged_forward(context, c);
    expect_forward(c, precision.forward);
    run_staged_backward(context, c);
    expect_gradients(c, precision.backward);
  }
}

TEST_P(SsdShapes, StagedFormAgreesWithFusedFormTo1em12) {
  SsdCase fused(context, DType::kF64, GetParam(), inputs),
      staged(context, DType::kF64, GetParam(), inputs);
  kernels::ssd_forward(context, fused.forward());
  kernels::ssd_backward(context, fused.backward());
  run_staged_forward(context, staged);
  run_staged_backward(context, staged);
  EXPECT_TRUE(close(staged.y, values_of(fused.y), 1e-12));
  EXPECT_TRUE(close(staged.final_state, values_of(fused.final_state), 1e-12));
  const SsdGradients a = staged.gradients(), b = fused.gradients();
  EXPECT_TRUE(close(a.dx, b.dx, 1e-12));
  EXPECT_TRUE(close(a.ddt, b.ddt, 1e-12));
  EXPECT_TRUE(close(a.dA_log, b.dA_log, 1e-12));
  EXPECT_TRUE(close(a.dB, b.dB, 1e-12));
  EXPECT_TRUE(close(a.dC, b.dC, 1e-12));
  EXPECT_TRUE(close(a.dD, b.dD, 1e-12));
  EXPECT_TRUE(close(a.dinitial_state, b.dinitial_state, 1e-12));
}

TEST_P(SsdShapes, SlicesOfAPackedBufferGiveTheSameBits) {
  SsdCase separate(context, DType::kF32, GetParam(), inputs);
  SsdCase packed(context, DType::kF32, GetParam(), inputs, SsdLayout::kPacked);
  for (SsdCase* c : {&separate, &packed}) {
    kernels::ssd_forward(context, c->forward());
    kernels::ssd_backward(context, c->backward());
  }
  EXPECT_TRUE(bit_equal(packed.y, separate.y));
  EXPECT_TRUE(bit_equal(packed.ddt, separate.ddt));
  EXPECT_EQ(values_of(packed.dx), values_of(separate.dx));
  EXPECT_EQ(values_of(packed.dB), values_of(separate.dB));
  EXPECT_EQ(values_of(packed.dC), values_of(separate.dC));
}

TEST_P(SsdShapes, StepByStepIsTheChunkedForm) {
  const SsdSizes& n = GetParam().sizes;
  for (const Precision& precision : {kDouble, kSingle}) {
    SsdCase c(context, precision.dtype, GetParam(), inputs);
    kernels::ssd_forward(context, c.forward());
    Tensor state = c.initial_state ? Tensor::copy_of(context, c.initial_state)
                                   : Tensor::zeros(context, precision.dtype, c.final_state.shape());
    const Tensor y = Tensor::zeros(context, precision.dtype, c.y.shape());
    for (int64_t t = 0; t < n.length; ++t) {
      kernels::ssd_step(context, {.x = c.x.select(1, t),
                                  .dt = c.dt.view().select(1, t),
                                  .A_log = c.A_log,
                                  .B = c.B.select(1, t),
                                  .C = c.C.select(1, t),
                                  .D = c.D,
                                  .state = state,
                                  .y = y.view().select(1, t)});
    }
    EXPECT_TRUE(close(c.y, values_of(y), precision.forward));
    EXPECT_TRUE(close(c.final_state, values_of(state), precision.forward));
  }
}

INSTANTIATE_TEST_SUITE_P(Ssd, SsdShapes, ::testing::ValuesIn(ssd_shapes()),
                         [](const auto& info) { return name_of(info.param); });

class SsdGradientCheck : public ::testing::TestWithParam<SsdShape> {};

/// Both outputs are read, the initial state is not 0.
TEST_P(SsdGradientCheck, BackwardIsTheDerivativeOfForward) {
  core::Context context({}, 1);
  SsdShape shape = GetParam();
  const SsdInputs start = ssd_inputs(shape);
  const auto case_of = [&](const Values& in) {
    return SsdCase(context, DType::kF64, shape,
                   {.x = in.at("x"),
                    .dt = in.at("dt"),
                    .A_log = in.at("A_log"),
                    .B = in.at("B"),
                    .C = in.at("C"),
                    .D = in.at("D"),
                    .initial_state = in.at("initial_state")});
  };
  GradientCheck check;
  check.inputs = {{"x", start.x},
                  {"dt", start.dt},
                  {"A_log", start.A_log},
                  {"B", start.B},
                  {"C", start.C},
                  {"D", start.D},
                  {"initial_state", start.initial_state}};
  check.forward = [&](const Values& in) {
    SsdCase c = case_of(in);
    kernels::ssd_forward(context, c.forward());
    return Values{{"y", values_of(c.y)}, {"final_state", values_of(c.final_state)}};
  };
  check.backward = [&](const Values& in, const Values& upstream) {
    SsdCase c = case_of(in);
    kernels::ssd_forward(context, c.forward());
    assign(c.dy, upstream.at("y"));
    assign(c.dfinal_state, upstream.at("final_state"));
    kernels::ssd_backward(context, c.backward());
    const SsdGradients d = c.gradients();
    return Values{{"x", d.dx},
                  {"dt", d.ddt},
                  {"A_log", d.dA_log},
                  {"B", d.dB},
                  {"C", d.dC},
                  {"D", d.dD},
                  {"initial_state", d.dinitial_state}};
  };
  EXPECT_TRUE(check_gradients(check));
}

INSTANTIATE_TEST_SUITE_P(Ssd, SsdGradientCheck,
                         ::testing::Values(SsdShape{{1, 3, 1, 1, 1, 1}, 2},
                                           SsdShape{{2, 13, 3, 4, 1, 5}, 4},
                                           SsdShape{{1, 40, 6, 9, 2, 11}, 16},
                                           SsdShape{{1, 33, 5, 17, 5, 3}, 64}),
                         [](const auto& info) { return name_of(info.param); });

TEST(Ssd, AbsentArgumentsCountAsZero) {
  core::Context context;
  const SsdShape shape{{2, 21, 3, 4, 1, 5}, 8, false, false};
  SsdCase c(context, DType::kF64, shape, ssd_inputs(shape));
  auto forward = c.forward();
  forward.final_state = {};
  forward.chunk_states = {};
  kernels::ssd_forward(context, forward);
  EXPECT_TRUE(close(c.y, reference_ssd(shape.sizes, c.rounded_inputs()).y, 1e-12));

  kernels::ssd_forward(context, c.forward());
  auto backward = c.backward();
  backward.dfinal_state = {};
  backward.dinitial_state = {};
  backward.dchunk_states = {};
  kernels::ssd_backward(context, backward);
  const auto expected =
      reference_ssd_backward(shape.sizes, c.rounded_inputs(), values_of(c.dy), {});
  EXPECT_TRUE(close(c.dx, expected.dx, 1e-11));
  EXPECT_TRUE(close(c.ddt, expected.ddt, 1e-11));
  EXPECT_TRUE(close(c.dA_log, expected.dA_log, 1e-11));
  EXPECT_TRUE(close(c.dB, expected.dB, 1e-11));
  EXPECT_TRUE(close(c.dC, expected.dC, 1e-11));
}

TEST(Ssd, GradientsOfParametersAreAccumulated) {
  core::Context context;
  const SsdShape shape{{2, 9, 3, 4, 1, 5}, 4};
  SsdCase c(context, DType::kF64, shape, ssd_inputs(shape));
  kernels::ssd_forward(context, c.forward());
  kernels::ssd_backward(context, c.backward());
  auto dA_log = values_of(c.dA_log), dD = values_of(c.dD);
  kernels::ssd_backward(context, c.backward());
  for (double& v : dA_log) v *= 2;
  for (double& v : dD) v *= 2;
  EXPECT_TRUE(close(c.dA_log, dA_log, 1e-15));
  EXPECT_TRUE(close(c.dD, dD, 1e-15));
}

TEST(Ssd, Bfloat16OnTheCpuIsAnErrorThatSaysSo) {
  core::Context context;
  const SsdShape shape{{1, 2, 1, 2, 1, 2}, 2, false, false};
  SsdCase c(context, DType::kF32, shape, ssd_inputs(shape));
  auto half = [&](const core::TensorView& view) {
    return tensor_of(context, DType::kBF16, view.shape(), values_of(view));
  };
  const Tensor x = half(c.x), B = half(c.B), C = half(c.C), y = half(c.y),
               chunk_states = half(c.chunk_states);
  auto args = c.forward();
  args.x = x;
  args.B = B;
  args.C = C;
  args.y = y;
  args.chunk_states = chunk_states;
  try {
    kernels::ssd_forward(context, args);
    FAIL() << "no error";
  } catch (const core::Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("bf16"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("ssd_forward"));
  }
}

TEST(Ssd, AGpuTakesShorterChunksWhereItIsFasterWithThem) {
  using core::DeviceKind;
  const auto best = [](DeviceKind device, DType dtype, int64_t head_dim, int64_t chunk) {
    return kernels::ssd_best_chunk(device, dtype, head_dim, 128, chunk);
  };
  EXPECT_EQ(best(DeviceKind::kCuda, DType::kBF16, 64, 256), 128);
  EXPECT_EQ(best(DeviceKind::kCuda, DType::kBF16, 64, 96), 96);
  EXPECT_EQ(best(DeviceKind::kCuda, DType::kBF16, 32, 256), 256);
  EXPECT_EQ(best(DeviceKind::kCuda, DType::kF32, 64, 256), 256);
  EXPECT_EQ(best(DeviceKind::kCpu, DType::kBF16, 64, 256), 256);
}

TEST(SsdDeathTest, WrongShapesAreNamed) {
  core::Context context;
  const SsdShape shape{{1, 2, 2, 2, 1, 2}, 2};
  SsdCase c(context, DType::kF32, shape, ssd_inputs(shape));
  auto args = c.forward();
  args.dt = Tensor::zeros(context, DType::kF32, {1, 2, 3});
  EXPECT_DEATH(kernels::ssd_forward(context, args), "dt");
  args = c.forward();
  args.chunk_states = c.final_state;
  EXPECT_DEATH(kernels::ssd_forward(context, args), "chunk_states");
  args = c.forward();
  args.chunk = 0;
  EXPECT_DEATH(kernels::ssd_forward(context, args), "chunk");
}

}  // namespace
}  // namespace longhaul::testing
