#include "tests/support/reference_model.h"

#include <algorithm>
#include <cmath>

namespace longhaul::testing {
namespace {

using Vector = std::vector<double>;

double silu(double v) { return v / (1 + std::exp(-v)); }

/// Layer weights by their short name; empty where the model has none.
struct Layer {
  const NamedValues& parameters;
  std::string prefix;
  const Vector& operator()(const std::string& name) const {
    static const Vector none;
    const auto found = parameters.find(prefix + name);
    return found == parameters.end() ? none : found->second;
  }
};

Vector rms_norm(const Vector& v, const Vector& weight, double epsilon) {
  double mean = 0;
  for (const double x : v) mean += x * x / static_cast<double>(v.size());
  Vector out(v.size());
  for (size_t i = 0; i < v.size(); ++i) out[i] = v[i] / std::sqrt(mean + epsilon) * weight[i];
  return out;
}

Vector multiply(const Vector& weight, const Vector& bias, const Vector& v) {
  const size_t rows = weight.size() / v.size();
  Vector out(rows, 0);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < v.size(); ++c) out[r] += weight[r * v.size() + c] * v[c];
    if (!bias.empty()) out[r] += bias[r];
  }
  return out;
}

/// S_t = e^{dt A} S_{t−1} + dt x Bᵀ; y = S C + D x, all heads of one token.
Vector recur(const model::ModelConfig& config, const Layer& layer, const Vector& xBC,
             const Vector& dt_raw, Vector& S) {
  const auto E = static_cast<size_t>(config.inner());
  const auto H = static_cast<size_t>(config.heads), P = static_cast<size_t>(config.head_dim);
  const auto N = static_cast<size_t>(config.state_dim), G = static_cast<size_t>(config.groups);
  Vector y(E);
  for (size_t h = 0; h < H; ++h) {
    double dt = std::log1p(std::exp(dt_raw[h] + layer("mixer.dt_bias")[h]));
    dt = std::min(std::max(dt, config.dt_low), config.dt_high);
    const double decay = std::exp(-dt * std::exp(layer("mixer.A_log")[h]));
    const size_t g = h * G / H;
    for (size_t p = 0; p < P; ++p) {
      const double x = xBC[h * P + p];
      double sum = layer("mixer.D")[h] * x;
      for (size_t n = 0; n < N; ++n) {
        double& s = S[(h * P + p) * N + n];
        s = decay * s + dt * x * xBC[E + g * N + n];
        sum += s * xBC[E + G * N + g * N + n];
      }
      y[h * P + p] = sum;
    }
  }
  return y;
}

/// silu of the convolution at one token, whose row is appended to the K − 1 of `tail` before it.
Vector convolve(const Layer& layer, const Vector& row, Vector& tail) {
  const size_t channels = row.size();
  tail.insert(tail.end(), row.begin(), row.end());
  const size_t K = tail.size() / channels;
  Vector out(channels);
  for (size_t c = 0; c < channels; ++c) {
    double pre = layer("mixer.conv1d.bias").empty() ? 0 : layer("mixer.conv1d.bias")[c];
    for (size_t j = 0; j < K; ++j) {
      pre += layer("mixer.conv1d.weight")[c * K + j] * tail[j * channels + c];
    }
    out[c] = silu(pre);
  }
  tail.erase(tail.begin(), tail.begin() + static_cast<int64_t>(channels));
  return out;
}

/// h_t = e^{Δ A} ⊙ h_{t−1} + Δ x Bᵀ; y = h C + D x, every channel with its own Δ and A.
Vector mamba1_mixer(const model::ModelConfig& config, const Layer& layer, const Vector& u,
                    Vector& S, Vector& tail) {
  const auto E = static_cast<size_t>(config.inner()), N = static_cast<size_t>(config.state_dim);
  const auto R = static_cast<size_t>(config.time_step_rank());
  const Vector all = multiply(layer("mixer.in_proj.weight"), layer("mixer.in_proj.bias"), u);
  const auto middle = all.begin() + static_cast<int64_t>(E);
  const Vector x = convolve(layer, Vector(all.begin(), middle), tail);
  const Vector dtBC = multiply(layer("mixer.x_proj.weight"), {}, x);
  const Vector low(dtBC.begin(), dtBC.begin() + static_cast<int64_t>(R));
  const Vector raw = multiply(layer("mixer.dt_proj.weight"), layer("mixer.dt_proj.bias"), low);
  Vector y(E);
  for (size_t e = 0; e < E; ++e) {
    const double dt = std::log1p(std::exp(raw[e]));
    y[e] = layer("mixer.D")[e] * x[e];
    for (size_t n = 0; n < N; ++n) {
      double& s = S[e * N + n];
      s = std::exp(-dt * std::exp(layer("mixer.A_log")[e * N + n])) * s + dt * x[e] * dtBC[R + n];
      y[e] += s * dtBC[R + N + n];
    }
    y[e] *= silu(all[E + e]);
  }
  return multiply(layer("mixer.out_proj.weight"), layer("mixer.out_proj.bias"), y);
}

Vector mamba2_mixer(const model::ModelConfig& config, const Layer& layer, const Vector& u,
                    Vector& S, Vector& tail) {
  const auto E = static_cast<size_t>(config.inner());
  const auto channels = static_cast<size_t>(config.conv_channels());
  const auto G = static_cast<size_t>(config.groups);
  const Vector all = multiply(layer("mixer.in_proj.weight"), layer("mixer.in_proj.bias"), u);
  const Vector row(all.begin() + static_cast<int64_t>(E),
                   all.begin() + static_cast<int64_t>(E + channels));
  const Vector xBC = convolve(layer, row, tail);
  const Vector dt_raw(all.begin() + static_cast<int64_t>(E + channels), all.end());
  Vector y = recur(config, layer, xBC, dt_raw, S);
  for (size_t i = 0; i < E; ++i) y[i] *= silu(all[i]);
  const size_t width = E / G;
  Vector normed;
  for (size_t g = 0; g < G; ++g) {
    const auto begin = static_cast<int64_t>(g * width), end = static_cast<int64_t>((g + 1) * width);
    const Vector& weight = layer("mixer.norm.weight");
    const Vector part =
        rms_norm(Vector(y.begin() + begin, y.begin() + end),
                 Vector(weight.begin() + begin, weight.begin() + end), config.norm_epsilon);
    normed.insert(normed.end(), part.begin(), part.end());
  }
  return multiply(layer("mixer.out_proj.weight"), layer("mixer.out_proj.bias"), normed);
}

Vector mlp(const Layer& layer, const Vector& u) {
  const Vector both = multiply(layer("mlp.fc1.weight"), {}, u);
  const size_t F = both.size() / 2;
  Vector gated(F);
  for (size_t i = 0; i < F; ++i) gated[i] = both[i] * silu(both[F + i]);
  return multiply(layer("mlp.fc2.weight"), {}, gated);
}

}  // namespace

std::vector<double> reference_logits(const model::ModelConfig& config,
                                     const NamedValues& parameters,
                                     const std::vector<int32_t>& tokens, NamedValues& state) {
  const auto D = static_cast<size_t>(config.width);
  const Vector& embedding = parameters.at("backbone.embeddings.weight");
  const Vector& head = config.tied ? embedding : parameters.at("lm_head.weight");
  std::vector<double> logits;
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string suffix = "." + std::to_string(i);
    state["ssm" + suffix].resize(
        static_cast<size_t>(config.heads * config.head_dim * config.state_dim), 0);
    state["conv" + suffix].resize(
        static_cast<size_t>((config.conv_width - 1) * config.conv_channels()), 0);
  }
  for (const int32_t token : tokens) {
    const auto row = embedding.begin() + static_cast<int64_t>(static_cast<size_t>(token) * D);
    Vector residual(row, row + static_cast<int64_t>(D));
    for (int64_t i = 0; i < config.layers; ++i) {
      const std::string suffix = "." + std::to_string(i);
      const Layer layer{parameters, "backbone.layers" + suffix + "."};
      const Vector u = rms_norm(residual, layer("norm.weight"), config.norm_epsilon);
      const auto mixer = config.is_mamba1() ? mamba1_mixer : mamba2_mixer;
      const Vector out = mixer(config, layer, u, state["ssm" + suffix], state["conv" + suffix]);
      for (size_t d = 0; d < D; ++d) residual[d] += out[d];
      if (config.mlp_width == 0) continue;
      const Vector more =
          mlp(layer, rms_norm(residual, layer("norm2.weight"), config.norm_epsilon));
      for (size_t d = 0; d < D; ++d) residual[d] += more[d];
    }
    const Vector last =
        rms_norm(residual, parameters.at("backbone.norm_f.weight"), config.norm_epsilon);
    const Vector one = multiply(head, {}, last);
    logits.insert(logits.end(), one.begin(), one.end());
  }
  return logits;
}

double reference_loss(const std::vector<double>& logits, const std::vector<int32_t>& labels) {
  const size_t vocabulary = logits.size() / labels.size();
  double sum = 0;
  int64_t count = 0;
  for (size_t t = 0; t < labels.size(); ++t) {
    if (labels[t] < 0) continue;
    double total = 0;
    for (size_t v = 0; v < vocabulary; ++v) total += std::exp(logits[t * vocabulary + v]);
    sum += std::log(total) - logits[t * vocabulary + static_cast<size_t>(labels[t])];
    ++count;
  }
  return sum / static_cast<double>(count);
}

}  // namespace longhaul::testing
