#include "tests/support/reference_ssd.h"

#include <cmath>

namespace longhaul::testing {
namespace {

/// Offsets of one head of one sequence.
struct Head {
  const SsdSizes& n;
  int64_t b, h;

  size_t token(int64_t t) const { return static_cast<size_t>((b * n.length + t) * n.heads + h); }
  size_t x(int64_t t, int64_t p) const {
    return token(t) * static_cast<size_t>(n.head_dim) + static_cast<size_t>(p);
  }
  size_t B(int64_t t, int64_t s) const {
    const int64_t group = h * n.groups / n.heads;
    return static_cast<size_t>(((b * n.length + t) * n.groups + group) * n.state + s);
  }
  size_t state(int64_t p, int64_t s) const {
    return static_cast<size_t>(((b * n.heads + h) * n.head_dim + p) * n.state + s);
  }
  /// In `states`.
  size_t state_before(int64_t t, int64_t p, int64_t s) const {
    return static_cast<size_t>(
        (((b * (n.length + 1) + t) * n.heads + h) * n.head_dim + p) * n.state + s);
  }
};

template <class Body>
void for_heads(const SsdSizes& n, const Body& body) {
  for (int64_t b = 0; b < n.batch; ++b) {
    for (int64_t h = 0; h < n.heads; ++h) body(Head{n, b, h});
  }
}

std::vector<double> zeros(int64_t count) {
  return std::vector<double>(static_cast<size_t>(count), 0.0);
}

/// e^{ℓ_t} of each token.
std::vector<double> decays_of(const SsdInputs& in, const Head& at) {
  std::vector<double> decays;
  for (int64_t t = 0; t < at.n.length; ++t) {
    const double dt = in.dt[at.token(t)];
    decays.push_back(dt == 0 ? 1 : std::exp(-dt * std::exp(in.A_log[static_cast<size_t>(at.h)])));
  }
  return decays;
}

}  // namespace

SsdOutputs reference_ssd(const SsdSizes& n, const SsdInputs& in) {
  SsdOutputs out{.y = zeros(n.batch * n.length * n.heads * n.head_dim),
                 .final_state = zeros(n.batch * n.heads * n.head_dim * n.state),
                 .states = zeros(n.batch * (n.length + 1) * n.heads * n.head_dim * n.state)};
  for_heads(n, [&](const Head& at) {
    const double D = in.D.empty() ? 0 : in.D[static_cast<size_t>(at.h)];
    const std::vector<double> decays = decays_of(in, at);
    for (int64_t p = 0; p < n.head_dim; ++p) {
      for (int64_t s = 0; s < n.state; ++s) {
        double S = in.initial_state.empty() ? 0 : in.initial_state[at.state(p, s)];
        out.states[at.state_before(0, p, s)] = S;
        for (int64_t t = 0; t < n.length; ++t) {
          S = decays[static_cast<size_t>(t)] * S +
              in.dt[at.token(t)] * in.x[at.x(t, p)] * in.B[at.B(t, s)];
          out.states[at.state_before(t + 1, p, s)] = S;
          out.y[at.x(t, p)] += S * in.C[at.B(t, s)];
        }
        out.final_state[at.state(p, s)] = S;
      }
      for (int64_t t = 0; t < n.length; ++t) out.y[at.x(t, p)] += D * in.x[at.x(t, p)];
    }
  });
  return out;
}

SsdGradients reference_ssd_backward(const SsdSizes& n, const SsdInputs& in,
                                    const std::vector<double>& dy,
                                    const std::vector<double>& dfinal_state) {
  const std::vector<double> states = reference_ssd(n, in).states;
  SsdGradients d{.dx = zeros(n.batch * n.length * n.heads * n.head_dim),
                 .ddt = zeros(n.batch * n.length * n.heads),
                 .dA_log = zeros(n.heads),
                 .dB = zeros(n.batch * n.length * n.groups * n.state),
                 .dC = zeros(n.batch * n.length * n.groups * n.state),
                 .dD = zeros(n.heads),
                 .dinitial_state = zeros(n.batch * n.heads * n.head_dim * n.state),
                 .dA_log_terms = zeros(n.heads)};
  for_heads(n, [&](const Head& at) {
    const auto h = static_cast<size_t>(at.h);
    const double A = -std::exp(in.A_log[h]);
    const double D = in.D.empty() ? 0 : in.D[h];
    const std::vector<double> decays = decays_of(in, at);
    std::vector<double> dlog_decay = zeros(n.length);
    for (int64_t p = 0; p < n.head_dim; ++p) {
      for (int64_t t = 0; t < n.length; ++t) {
        d.dx[at.x(t, p)] += D * dy[at.x(t, p)];
        d.dD[h] += dy[at.x(t, p)] * in.x[at.x(t, p)];
      }
      for (int64_t s = 0; s < n.state; ++s) {
        double dS = dfinal_state.empty() ? 0 : dfinal_state[at.state(p, s)];
        for (int64_t t = n.length - 1; t >= 0; --t) {
          const double dt = in.dt[at.token(t)], x = in.x[at.x(t, p)], B = in.B[at.B(t, s)];
          const double decay = decays[static_cast<size_t>(t)];
          d.dC[at.B(t, s)] += dy[at.x(t, p)] * states[at.state_before(t + 1, p, s)];
          dS += dy[at.x(t, p)] * in.C[at.B(t, s)];
          d.dx[at.x(t, p)] += dS * dt * B;
          d.dB[at.B(t, s)] += dS * dt * x;
          dlog_decay[static_cast<size_t>(t)] += dS * decay * states[at.state_before(t, p, s)];
          d.ddt[at.token(t)] += dS * x * B;
          dS *= decay;
        }
        d.dinitial_state[at.state(p, s)] = dS;
      }
    }
    for (int64_t t = 0; t < n.length; ++t) {
      const double term = A * dlog_decay[static_cast<size_t>(t)], dt = in.dt[at.token(t)];
      d.ddt[at.token(t)] += term;
      d.dA_log[h] += dt * term;
      d.dA_log_terms[h] += std::abs(dt * term);
    }
  });
  return d;
}

}  // namespace longhaul::testing
