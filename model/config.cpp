#include "model/config.h"

#include <cmath>

#include "kernels/core/error.h"

namespace longhaul::model {

namespace {

using core::message;

// Beyond any model of today, far below what overflows 64-bit byte counts.
constexpr double kMostElements = 4.4e12;
constexpr int64_t kMostLayers = 65536;
constexpr int64_t kMostTokens = (int64_t{1} << 31) - 1;  // token ids are int32

// In double: the products of absurd extents overflow every integer type.
double parameter_estimate(const ModelConfig& config) {
  const auto real = [](int64_t value) { return static_cast<double>(value); };
  const double inner = real(config.heads) * real(config.head_dim);
  const double channels = inner + 2 * real(config.groups) * real(config.state_dim);
  // Mamba-1's B, C and decays are of every channel.
  const double of_channels =
      config.is_mamba1() ? inner * (2 * real(config.time_step_rank()) + 3 * real(config.state_dim))
                         : 0;
  const double layer = real(config.width) * (2 * inner + channels + real(config.heads)) +
                       of_channels + channels * (real(config.conv_width) + 1) +
                       3 * real(config.width) * real(config.mlp_width);
  return real(config.vocabulary) * real(config.width) * (config.tied ? 1 : 2) +
         real(config.layers) * layer;
}

double state_estimate(const ModelConfig& config) {
  return static_cast<double>(config.heads) * static_cast<double>(config.head_dim) *
         static_cast<double>(config.state_dim) * static_cast<double>(config.layers);
}

}  // namespace

void ModelConfig::settle() {
  if (!is_mamba1()) return;
  heads = inner();
  head_dim = 1;
  dt_rank = time_step_rank();
}

void ModelConfig::validate(const std::string& key, core::Problems& problems) const {
  const auto report = [&](const char* field, const auto&... parts) {
    problems.push_back(message(key, key.empty() ? "" : ".", field, ": ", parts...));
  };
  if (groups >= 1 && heads >= 1 && heads % groups != 0) {
    report("heads", "must be a multiple of groups (", groups, "), is ", heads);
  }
  // What an architecture has not, and would ignore.
  const auto only = [&](const char* field, const auto& value, const auto& needed) {
    if (value == needed) return;
    report(field, "must be ", needed, " in a ", enum_names(architecture)[is_mamba1()],
           " model, is ", value);
  };
  if (is_mamba1()) {
    const ModelConfig usual;
    only("groups", groups, 1);
    only("mlp_width", mlp_width, 0);
    only("dt_low", dt_low, usual.dt_low);
    only("dt_high", dt_high, usual.dt_high);
  } else {
    only("dt_rank", dt_rank, 0);
  }
  if (vocabulary > kMostTokens) {
    report("vocabulary", "must be at most ", kMostTokens, ", is ", vocabulary);
  }
  if (layers > kMostLayers) report("layers", "must be at most ", kMostLayers, ", is ", layers);
  if (parameter_estimate(*this) > kMostElements) {
    report("width", "the model would have about ", parameter_estimate(*this),
           " parameters, the most is ", kMostElements);
  } else if (state_estimate(*this) > kMostElements) {
    report("state_dim", "the state of one sequence would have ", state_estimate(*this),
           " elements, the most is ", kMostElements);
  }
  const auto ordered = [&](const char* low_name, double low, const char* high_name, double high) {
    if (low > high) {
      report(low_name, "must be at most ", high_name, " (", high, "), is ", low);
    }
  };
  ordered("dt_low", dt_low, "dt_high", dt_high);
  ordered("dt_min", dt_min, "dt_max", dt_max);
  ordered("a_low", a_low, "a_high", a_high);
  const auto finite = [&](const char* name, double value) {
    if (std::isinf(value)) report(name, "must be finite, is ", value);
  };
  finite("norm_epsilon", norm_epsilon);
  finite("dt_low", dt_low);
  finite("dt_min", dt_min);
  finite("dt_max", dt_max);
  finite("dt_floor", dt_floor);
  finite("a_low", a_low);
  finite("a_high", a_high);
}

}  // namespace longhaul::model
