#include "tests/kernels/scan_case.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/core/error.h"
#include "kernels/core/memory_tally.h"
#include "kernels/workspace.h"
#include "tests/support/compare.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {

using core::DType;
using core::Shape;
using core::Tensor;
using core::TensorView;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Tensor filled(core::Context& context, DType dtype, const Shape& shape, double value) {
  return tensor_of(context, dtype, shape,
                   std::vector<double>(static_cast<size_t>(shape.elements()), value));
}

}  // namespace

std::string name_of(const ScanShape& s) {
  const ScanSizes& n = s.sizes;
  return core::message("b", n.batch, "_l", n.length, "_e", n.channels, "_n", n.state,
                       s.with_initial_state ? "_h0" : "", "_", s.seed);
}

void PrintTo(const ScanShape& shape, std::ostream* out) { *out << name_of(shape); }

std::vector<ScanShape> scan_shapes() {
  std::vector<ScanShape> shapes = {
      {{1, 0, 7, 5}},    {{2, 1, 1, 1}},    {{1, 1, 130, 16}}, {{2, 63, 7, 5}},
      {{1, 64, 64, 16}}, {{2, 65, 64, 16}}, {{1, 65, 130, 5}}, {{1, 200, 130, 16}},
      {{2, 200, 7, 40}}, {{1, 64, 1, 40}},  {{3, 63, 130, 1}}, {{1, 129, 36, 17}},
      {{0, 5, 7, 5}},    {{1, 130, 64, 8}}, {{2, 9, 20, 16}},
  };
  shapes[3].with_initial_state = shapes[5].with_initial_state = false;
  shapes[7].with_initial_state = false;
  for (size_t i = 0; i < shapes.size(); ++i) shapes[i].seed = 100 * (i + 1);
  return shapes;
}

ScanInputs scan_inputs(const ScanShape& shape) {
  const ScanSizes& n = shape.sizes;
  const int64_t tokens = n.batch * n.length;
  const double width = 1 / std::sqrt(static_cast<double>(n.state));
  ScanInputs in;
  in.x = random_values(tokens * n.channels, shape.seed + 1);
  in.B = random_values(tokens * n.state, shape.seed + 2, width);
  in.C = random_values(tokens * n.state, shape.seed + 3);
  in.dt = random_values(tokens * n.channels, shape.seed + 4, 1.2);
  in.dt_bias = random_values(n.channels, shape.seed + 5, 1, -2);
  in.A_log = random_values(n.channels * n.state, shape.seed + 6, 1.5, -1);
  in.D = random_values(n.channels, shape.seed + 7);
  if (shape.with_initial_state) {
    in.initial_state = random_values(n.batch * n.channels * n.state, shape.seed + 8);
  }
  return in;
}

TensorView ScanCase::rows(core::Context& context, DType dtype, int64_t width, ScanLayout layout) {
  const ScanSizes& n = shape.sizes;
  if (layout == ScanLayout::kSeparate) {
    storage_.push_back(filled(context, dtype, {n.batch, n.length, width}, kNaN));
    return storage_.back();
  }
  storage_.push_back(filled(context, dtype, {n.batch, n.length + 1, width + 5}, kNaN));
  return storage_.back().view().slice(1, 0, n.length).slice(2, 3, 3 + width);
}

ScanCase::ScanCase(core::Context& context, DType dtype, const ScanShape& the_shape,
                   const ScanInputs& in, ScanLayout layout)
    : shape(the_shape) {
  const DType state = core::state_dtype(dtype);
  const ScanSizes& n = shape.sizes;
  const Shape states{n.batch, n.channels, n.state}, parameter{n.channels, n.state};
  for (TensorView* view : {&x, &dt, &y, &dy, &dx, &ddt}) {
    *view = rows(context, dtype, n.channels, layout);
  }
  for (TensorView* view : {&B, &C, &dB, &dC}) *view = rows(context, dtype, n.state, layout);
  assign(x, in.x);
  assign(dt, in.dt);
  assign(B, in.B);
  assign(C, in.C);
  assign(dy, random_values(dy.elements(), shape.seed + 9));
  dt_bias = tensor_of(context, state, {n.channels}, in.dt_bias);
  A_log = tensor_of(context, state, parameter, in.A_log);
  D = tensor_of(context, state, {n.channels}, in.D);
  if (shape.with_initial_state) initial_state = tensor_of(context, state, states, in.initial_state);
  dfinal_state = random_tensor(context, state, states, shape.seed + 10);
  for (Tensor* output :
       {&final_state, &log_decay, &dinitial_state, &state_from_zero, &dstate_from_zero}) {
    *output = filled(context, state, states, kNaN);
  }
  chunk_states =
      filled(context, state, {n.batch, kernels::scan_chunks(n.length), n.channels, n.state}, kNaN);
  dA_log = filled(context, state, parameter, 0);
  dD = filled(context, state, {n.channels}, 0);
  ddt_bias = filled(context, state, {n.channels}, 0);
}

kernels::SelectiveScanForward ScanCase::forward() const {
  return {.x = x,
          .dt = dt,
          .dt_bias = dt_bias,
          .A_log = A_log,
          .B = B,
          .C = C,
          .D = D,
          .initial_state = initial_state,
          .y = y,
          .final_state = final_state,
          .chunk_states = chunk_states,
          .log_decay = log_decay};
}

kernels::SelectiveScanBackward ScanCase::backward() const {
  return {.x = x,
          .dt = dt,
          .dt_bias = dt_bias,
          .A_log = A_log,
          .B = B,
          .C = C,
          .D = D,
          .chunk_states = chunk_states,
          .dy = dy,
          .dfinal_state = dfinal_state,
          .dx = dx,
          .ddt = ddt,
          .dB = dB,
          .dC = dC,
          .ddt_bias = ddt_bias,
          .dA_log = dA_log,
          .dD = dD,
          .dinitial_state = dinitial_state};
}

kernels::SelectiveScanForward ScanCase::forward(int64_t begin, int64_t end) const {
  auto args = forward();
  for (TensorView* view : {&args.x, &args.dt, &args.B, &args.C, &args.y}) {
    *view = view->slice(1, begin, end);
  }
  return args;
}

kernels::SelectiveScanBackward ScanCase::backward(int64_t begin, int64_t end) const {
  auto args = backward();
  for (TensorView* view :
       {&args.x, &args.dt, &args.B, &args.C, &args.dy, &args.dx, &args.ddt, &args.dB, &args.dC}) {
    *view = view->slice(1, begin, end);
  }
  return args;
}

void ScanCase::run(core::Context& context) const {
  kernels::selective_scan_forward(context, forward());
  kernels::selective_scan_backward(context, backward());
}

ScanInputs ScanCase::rounded_inputs() const {
  return {.x = values_of(x),
          .dt = values_of(dt),
          .dt_bias = values_of(dt_bias),
          .A_log = values_of(A_log),
          .B = values_of(B),
          .C = values_of(C),
          .D = values_of(D),
          .initial_state = initial_state ? values_of(initial_state) : std::vector<double>{}};
}

ScanGradients ScanCase::gradients() const {
  return {.dx = values_of(dx),
          .ddt = values_of(ddt),
          .ddt_bias = values_of(ddt_bias),
          .dA_log = values_of(dA_log),
          .dB = values_of(dB),
          .dC = values_of(dC),
          .dD = values_of(dD),
          .dinitial_state = values_of(dinitial_state),
          .dA_log_terms = {}};
}

std::vector<std::vector<double>> ScanCase::outputs() const {
  std::vector<std::vector<double>> all;
  for (const TensorView& view :
       std::initializer_list<TensorView>{y, final_state, log_decay, chunk_states, dx, ddt, dB, dC,
                                         ddt_bias, dA_log, dD, dinitial_state}) {
    all.push_back(values_of(view));
  }
  return all;
}

void ScanCase::expect_forward(double tolerance) const {
  const ScanOutputs expected = reference_scan(shape.sizes, rounded_inputs());
  EXPECT_TRUE(close(y, expected.y, tolerance)) << "y";
  EXPECT_TRUE(close(final_state, expected.final_state, tolerance)) << "final_state";
  EXPECT_TRUE(close(chunk_states, entering_states(shape, expected), tolerance)) << "chunk_states";
  EXPECT_TRUE(close(log_decay, expected.log_decay, tolerance)) << "log_decay";
}

void ScanCase::expect_gradients(double tolerance) const {
  const ScanGradients expected = reference_scan_backward(shape.sizes, rounded_inputs(),
                                                         values_of(dy), values_of(dfinal_state));
  const ScanGradients found = gradients();
  EXPECT_TRUE(close(found.dx, expected.dx, tolerance)) << "dx";
  EXPECT_TRUE(close(found.ddt, expected.ddt, tolerance)) << "ddt";
  EXPECT_TRUE(close(found.dB, expected.dB, tolerance)) << "dB";
  EXPECT_TRUE(close(found.dC, expected.dC, tolerance)) << "dC";
  EXPECT_TRUE(close(found.dD, expected.dD, tolerance)) << "dD";
  EXPECT_TRUE(close(found.ddt_bias, expected.ddt_bias, tolerance)) << "ddt_bias";
  EXPECT_TRUE(close(found.dinitial_state, expected.dinitial_state, tolerance)) << "dinitial_state";
  for (size_t i = 0; i < expected.dA_log.size(); ++i) {
    EXPECT_NEAR(found.dA_log[i], expected.dA_log[i], tolerance * expected.dA_log_terms[i])
        << "dA_log " << i;
  }
}

void ScanCase::expect_workspaces(core::Context& context) const {
  const ScanSizes& n = shape.sizes;
  const kernels::ScanExtents extents{.device = context.device().kind,
                                     .batch = n.batch,
                                     .length = n.length,
                                     .channels = n.channels,
                                     .state = n.state,
                                     .dtype = x.dtype(),
                                     .threads = context.threads()};
  const auto expect_taken = [&](const kernels::Workspace& expected, const auto& work) {
    core::MemoryPool& pool = context.pool();
    pool.reset_peak();
    const int64_t before = pool.bytes_in_use();
    work();
    core::MemoryTally tally;
    tally.op(expected);
    EXPECT_EQ(pool.peak_bytes() - before, tally.peak());
  };
  using namespace kernels;
  expect_taken(selective_scan_forward_workspace(extents),
               [&] { selective_scan_forward(context, forward()); });
  expect_taken(selective_scan_map_workspace(extents), [&] {
    selective_scan_map(context, forward(), {log_decay, state_from_zero});
  });
  expect_taken(selective_scan_backward_workspace(extents),
               [&] { selective_scan_backward(context, backward()); });
  expect_taken(selective_scan_backward_map_workspace(extents),
               [&] { selective_scan_backward_map(context, backward(), dstate_from_zero); });
}

std::vector<double> entering_states(const ScanShape& shape, const ScanOutputs& reference) {
  const ScanSizes& n = shape.sizes;
  const int64_t size = n.channels * n.state;
  std::vector<double> entering;
  for (int64_t b = 0; b < n.batch; ++b) {
    for (int64_t t = 0; t < n.length; t += kernels::kScanChunk) {
      const auto begin = reference.states.begin() + (b * (n.length + 1) + t) * size;
      entering.insert(entering.end(), begin, begin + size);
    }
  }
  return entering;
}

}  // namespace longhaul::testing
