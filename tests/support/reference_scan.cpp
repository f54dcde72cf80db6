#include "tests/support/reference_scan.h"

#include <cmath>

namespace longhaul::testing {
namespace {

/// Offsets of one element of the state of one sequence.
struct Element {
  const ScanSizes& n;
  int64_t b, c, s;

  size_t channel() const { return static_cast<size_t>(c); }
  size_t x(int64_t t) const { return static_cast<size_t>((b * n.length + t) * n.channels + c); }
  size_t B(int64_t t) const { return static_cast<size_t>((b * n.length + t) * n.state + s); }
  size_t A() const { return static_cast<size_t>(c * n.state + s); }
  size_t state() const { return static_cast<size_t>((b * n.channels + c) * n.state + s); }
  /// In `states`.
  size_t before(int64_t t) const {
    return static_cast<size_t>(((b * (n.length + 1) + t) * n.channels + c) * n.state + s);
  }
};

template <class Body>
void for_elements(const ScanSizes& n, const Body& body) {
  for (int64_t b = 0; b < n.batch; ++b) {
    for (int64_t c = 0; c < n.channels; ++c) {
      for (int64_t s = 0; s < n.state; ++s) body(Element{n, b, c, s});
    }
  }
}

std::vector<double> zeros(int64_t count) {
  return std::vector<double>(static_cast<size_t>(count), 0.0);
}

double raw_step(const ScanInputs& in, const Element& at, int64_t t) {
  return in.dt[at.x(t)] + in.dt_bias[at.channel()];
}
/// log(1 + e^raw), without overflow for large and without loss for small raw.
double step(const ScanInputs& in, const Element& at, int64_t t) {
  const double raw = raw_step(in, at, t);
  return raw > 0 ? raw + std::log1p(std::exp(-raw)) : std::log1p(std::exp(raw));
}
double rate(const ScanInputs& in, const Element& at) { return -std::exp(in.A_log[at.A()]); }

}  // namespace

ScanOutputs reference_scan(const ScanSizes& n, const ScanInputs& in) {
  ScanOutputs out{.y = zeros(n.batch * n.length * n.channels),
                  .final_state = zeros(n.batch * n.channels * n.state),
                  .log_decay = zeros(n.batch * n.channels * n.state),
                  .states = zeros(n.batch * (n.length + 1) * n.channels * n.state)};
  for_elements(n, [&](const Element& at) {
    const double A = rate(in, at);
    double h = in.initial_state.empty() ? 0 : in.initial_state[at.state()];
    out.states[at.before(0)] = h;
    for (int64_t t = 0; t < n.length; ++t) {
      const double dt = step(in, at, t), x = in.x[at.x(t)];
      h = std::exp(dt * A) * h + dt * x * in.B[at.B(t)];
      out.states[at.before(t + 1)] = h;
      out.y[at.x(t)] += h * in.C[at.B(t)] + (at.s == 0 ? in.D[at.channel()] * x : 0);
      out.log_decay[at.state()] += dt * A;
    }
    out.final_state[at.state()] = h;
  });
  return out;
}

ScanGradients reference_scan_backward(const ScanSizes& n, const ScanInputs& in,
                                      const std::vector<double>& dy,
                                      const std::vector<double>& dfinal_state) {
  const std::vector<double> states = reference_scan(n, in).states;
  ScanGradients d{.dx = zeros(n.batch * n.length * n.channels),
                  .ddt = zeros(n.batch * n.length * n.channels),
                  .ddt_bias = zeros(n.channels),
                  .dA_log = zeros(n.channels * n.state),
                  .dB = zeros(n.batch * n.length * n.state),
                  .dC = zeros(n.batch * n.length * n.state),
                  .dD = zeros(n.channels),
                  .dinitial_state = zeros(n.batch * n.channels * n.state),
                  .dA_log_terms = zeros(n.channels * n.state)};
  for_elements(n, [&](const Element& at) {
    const double A = rate(in, at);
    double dh = dfinal_state.empty() ? 0 : dfinal_state[at.state()];
    for (int64_t t = n.length - 1; t >= 0; --t) {
      const double dt = step(in, at, t), x = in.x[at.x(t)], B = in.B[at.B(t)];
      const double decay = std::exp(dt * A), slope = 1 / (1 + std::exp(-raw_step(in, at, t)));
      d.dC[at.B(t)] += dy[at.x(t)] * states[at.before(t + 1)];
      dh += dy[at.x(t)] * in.C[at.B(t)];
      d.dB[at.B(t)] += dh * dt * x;
      d.dx[at.x(t)] += dh * dt * B;
      const double dlog_decay = dh * decay * states[at.before(t)];
      const double dstep = dh * x * B + dlog_decay * A;
      d.ddt[at.x(t)] += dstep * slope;
      d.ddt_bias[at.channel()] += dstep * slope;
      d.dA_log[at.A()] += dlog_decay * dt * A;
      d.dA_log_terms[at.A()] += std::abs(dlog_decay * dt * A);
      if (at.s == 0) {
        d.dx[at.x(t)] += in.D[at.channel()] * dy[at.x(t)];
        d.dD[at.channel()] += dy[at.x(t)] * x;
      }
      dh *= decay;
    }
    d.dinitial_state[at.state()] = dh;
  });
  return d;
}

}  // namespace longhaul::testing
