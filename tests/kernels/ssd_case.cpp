#include "tests/kernels/ssd_case.h"

#include <cmath>
#include <limits>

#include "kernels/core/error.h"
#include "kernels/core/random.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {

using core::DType;
using core::Shape;
using core::Tensor;
using core::TensorView;

std::string name_of(const SsdShape& s) {
  const SsdSizes& n = s.sizes;
  return core::message("b", n.batch, "_l", n.length, "_h", n.heads, "_p", n.head_dim, "_g",
                       n.groups, "_n", n.state, "_q", s.chunk, s.with_D ? "_D" : "",
                       s.with_initial_state ? "_S0" : "", "_", s.seed);
}

void PrintTo(const SsdShape& shape, std::ostream* out) { *out << name_of(shape); }

std::vector<SsdShape> ssd_shapes() {
  std::vector<SsdShape> shapes = {
      {{1, 0, 2, 4, 1, 3}, 4},     {{2, 1, 1, 1, 1, 1}, 1},     {{1, 1, 3, 5, 1, 7}, 64},
      {{1, 64, 2, 64, 1, 64}, 64}, {{1, 65, 2, 64, 1, 64}, 64}, {{2, 63, 2, 16, 2, 16}, 64},
      {{1, 100, 5, 8, 2, 17}, 16}, {{1, 33, 11, 3, 1, 5}, 8},   {{1, 300, 1, 2, 1, 3}, 256},
      {{1, 37, 9, 33, 3, 31}, 1},  {{9, 20, 8, 4, 1, 4}, 7},    {{1, 192, 4, 64, 1, 128}, 96},
      {{0, 5, 2, 4, 1, 3}, 4},     {{1, 40, 2, 6, 1, 4}, 1000},
  };
  core::RandomStream random({.seed = 20});
  while (shapes.size() < 48) {
    SsdShape s;
    s.sizes.batch = 1 + static_cast<int64_t>(random.below(3));
    s.sizes.length = static_cast<int64_t>(random.below(150));
    s.sizes.heads = 1 + static_cast<int64_t>(random.below(10));
    s.sizes.head_dim = 1 + static_cast<int64_t>(random.below(40));
    s.sizes.groups = 1 + static_cast<int64_t>(random.below(static_cast<uint64_t>(s.sizes.heads)));
    s.sizes.state = 1 + static_cast<int64_t>(random.below(40));
    s.chunk = 1 + static_cast<int64_t>(random.below(80));
    s.with_D = random.below(3) > 0;
    s.with_initial_state = random.below(3) > 0;
    shapes.push_back(s);
  }
  for (size_t i = 0; i < shapes.size(); ++i) shapes[i].seed = 100 * (i + 1);
  return shapes;
}

SsdInputs ssd_inputs(const SsdShape& shape) {
  const SsdSizes& n = shape.sizes;
  const int64_t tokens = n.batch * n.length;
  const double width = 1 / std::sqrt(static_cast<double>(n.state));
  SsdInputs in;
  in.x = random_values(tokens * n.heads * n.head_dim, shape.seed + 1);
  in.B = random_values(tokens * n.groups * n.state, shape.seed + 2, width);
  in.C = random_values(tokens * n.groups * n.state, shape.seed + 3);
  in.dt = random_values(tokens * n.heads, shape.seed + 4, 1.5, -2);
  for (double& v : in.dt) v = std::log1p(std::exp(v));
  in.A_log = random_values(n.heads, shape.seed + 5, 1.5, -1);
  if (shape.with_D) in.D = random_values(n.heads, shape.seed + 6);
  if (shape.with_initial_state) {
    in.initial_state = random_values(n.batch * n.heads * n.head_dim * n.state, shape.seed + 7);
  }
  return in;
}

namespace {

Tensor filled(core::Context& context, DType dtype, const Shape& shape, double value) {
  return tensor_of(context, dtype, shape,
                   std::vector<double>(static_cast<size_t>(shape.elements()), value));
}

}  // namespace

void SsdCase::lay_out(core::Context& context, DType dtype, SsdLayout layout) {
  const SsdSizes& n = shape.sizes;
  const int64_t E = n.heads * n.head_dim, GN = n.groups * n.state;
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  for (const bool gradient : {false, true}) {
    TensorView& to_x = gradient ? dx : x;
    TensorView& to_B = gradient ? dB : B;
    TensorView& to_C = gradient ? dC : C;
    if (layout == SsdLayout::kPacked) {
      storage_.push_back(filled(context, dtype, {n.batch, n.length, E + 2 * GN}, kNaN));
      const TensorView all = storage_.back();
      to_x = all.slice(2, 0, E).split_last(n.heads, n.head_dim);
      to_B = all.slice(2, E, E + GN).split_last(n.groups, n.state);
      to_C = all.slice(2, E + GN, E + 2 * GN).split_last(n.groups, n.state);
      continue;
    }
    const Shape of_x{n.batch, n.length, n.heads, n.head_dim},
        of_B{n.batch, n.length, n.groups, n.state};
    for (auto& [view, view_shape] :
         {std::pair<TensorView&, const Shape&>{to_x, of_x}, {to_B, of_B}, {to_C, of_B}}) {
      storage_.push_back(filled(context, dtype, view_shape, kNaN));
      view = storage_.back();
    }
  }
}

SsdCase::SsdCase(core::Context& context, DType dtype, const SsdShape& the_shape,
                 const SsdInputs& in, SsdLayout layout)
    : shape(the_shape) {
  const DType state = core::state_dtype(dtype);
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  const SsdSizes& n = shape.sizes;
  const Shape per_token{n.batch, n.length, n.heads}, states{n.batch, n.heads, n.head_dim, n.state},
      chunks{n.batch, kernels::ssd_chunks(n.length, shape.chunk), n.heads, n.head_dim, n.state},
      of_x{n.batch, n.length, n.heads, n.head_dim};
  lay_out(context, dtype, layout);
  assign(x, in.x);
  assign(B, in.B);
  assign(C, in.C);
  dt = tensor_of(context, state, per_token, in.dt);
  A_log = tensor_of(context, state, {n.heads}, in.A_log);
  if (!in.D.empty()) D = tensor_of(context, state, {n.heads}, in.D);
  if (shape.with_initial_state) initial_state = tensor_of(context, state, states, in.initial_state);
  for (Tensor* output : {&final_state, &dinitial_state, &state_from_zero, &dstate_from_zero}) {
    *output = filled(context, state, states, kNaN);
  }
  chunk_states = filled(context, dtype, chunks, kNaN);
  dchunk_states = filled(context, dtype, chunks, kNaN);
  y = filled(context, dtype, of_x, kNaN);
  ddt = filled(context, state, per_token, kNaN);
  log_decay = filled(context, state, {n.batch, n.heads}, kNaN);
  dy = random_tensor(context, dtype, of_x, shape.seed + 8);
  dfinal_state = random_tensor(context, state, states, shape.seed + 9);
  dA_log = filled(context, state, {n.heads}, 0);
  if (D) dD = filled(context, state, {n.heads}, 0);
}

kernels::SsdForward SsdCase::forward() const {
  return {.x = x,
          .dt = dt,
          .A_log = A_log,
          .B = B,
          .C = C,
          .D = D,
          .initial_state = initial_state,
          .chunk = shape.chunk,
          .y = y,
          .final_state = final_state,
          .chunk_states = chunk_states};
}

kernels::SsdBackward SsdCase::backward() const {
  return {.x = x,
          .dt = dt,
          .A_log = A_log,
          .B = B,
          .C = C,
          .D = D,
          .chunk_states = chunk_states,
          .chunk = shape.chunk,
          .dy = dy,
          .dfinal_state = dfinal_state,
          .dx = dx,
          .ddt = ddt,
          .dB = dB,
          .dC = dC,
          .dA_log = dA_log,
          .dD = dD,
          .dinitial_state = dinitial_state,
          .dchunk_states = dchunk_states};
}

SsdInputs SsdCase::rounded_inputs() const {
  return {.x = values_of(x),
          .dt = values_of(dt),
          .A_log = values_of(A_log),
          .B = values_of(B),
          .C = values_of(C),
          .D = D ? values_of(D) : std::vector<double>{},
          .initial_state = initial_state ? values_of(initial_state) : std::vector<double>{}};
}

SsdGradients SsdCase::gradients() const {
  return {.dx = values_of(dx),
          .ddt = values_of(ddt),
          .dA_log = values_of(dA_log),
          .dB = values_of(dB),
          .dC = values_of(dC),
          .dD = dD ? values_of(dD) : std::vector<double>{},
          .dinitial_state = values_of(dinitial_state),
          .dA_log_terms = {}};
}

void run_staged_forward(core::Context& context, SsdCase& c) {
  kernels::ssd_forward_map(context, c.forward(),
                           {.log_decay = c.log_decay, .state_from_zero = c.state_from_zero});
  kernels::ssd_forward_intra(context, c.forward());
  kernels::ssd_forward_inter(context, c.forward());
}

void run_staged_backward(core::Context& context, SsdCase& c) {
  kernels::ssd_backward_map(context, c.backward(), c.dstate_from_zero);
  kernels::ssd_backward_intra(context, c.backward());
  kernels::ssd_backward_inter(context, c.backward());
}

}  // namespace longhaul::testing
