#include "model/init.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "kernels/core/dispatch.h"
#include "kernels/core/parallel.h"
#include "kernels/core/random.h"

namespace longhaul::model {
namespace {

/// The value of one element, given a uniform and a normal draw for it.
class ElementInit {
 public:
  ElementInit(const ModelConfig& config, const Parameter& parameter)
      : config_(config), name_(parameter.name) {
    // Fan-in of a projection or convolution: everything but the first extent.
    for (int i = 1; i < parameter.shape.rank(); ++i)
      fan_in_ *= static_cast<double>(parameter.shape[i]);
    const double branches = config.mlp_width > 0 ? 2.0 : 1.0;
    if (ends_with("out_proj.weight") || ends_with("fc2.weight")) {
      shrink_ = 1.0 / std::sqrt(branches * static_cast<double>(config.layers));
    }
  }

  double operator()(const core::RandomKey& key, uint64_t index) const {
    if (ends_with("embeddings.weight") || ends_with("lm_head.weight"))
      return 0.02 * core::normal(key, index);
    if (ends_with("norm.weight") || ends_with("norm2.weight") || ends_with("norm_f.weight"))
      return 1.0;
    if (ends_with("mixer.D")) return 1.0;
    if (ends_with("A_log")) return std::log(decay_rate(key, index));
    if (ends_with("dt_bias") || ends_with("dt_proj.bias"))
      return time_step_bias(core::uniform(key, index));
    if (ends_with("conv1d.bias"))
      return (2 * core::uniform(key, index) - 1) /
             std::sqrt(static_cast<double>(config_.conv_width));
    if (ends_with(".bias")) return 0.0;
    return shrink_ * (2 * core::uniform(key, index) - 1) / std::sqrt(fan_in_);
  }

 private:
  bool ends_with(std::string_view suffix) const { return name_.ends_with(suffix); }

  /// Mamba-1's are those of S4D-real, n + 1 for the n-th of 16.
  double decay_rate(const core::RandomKey& key, uint64_t index) const {
    const double range = config_.a_high - config_.a_low;
    if (!config_.is_mamba1()) return config_.a_low + range * core::uniform(key, index);
    const auto states = static_cast<uint64_t>(config_.state_dim);
    const double steps = std::max(1.0, static_cast<double>(states - 1));
    return config_.a_low + range * static_cast<double>(index % states) / steps;
  }

  /// dt log-uniform in [dt_min, dt_max]; the bias is its inverse softplus.
  double time_step_bias(double u) const {
    const double low = std::log(config_.dt_min), high = std::log(config_.dt_max);
    const double dt = std::max(std::exp(low + u * (high - low)), config_.dt_floor);
    return dt + std::log(-std::expm1(-dt));
  }

  const ModelConfig& config_;
  std::string_view name_;
  double fan_in_ = 1;
  double shrink_ = 1;
};

}  // namespace

void initialize(LanguageModel& model, uint64_t seed) {
  uint64_t stream = 0;
  for (const Parameter& parameter : model.parameters().list()) {
    const ElementInit element(model.config(), parameter);
    const core::RandomKey key{seed, stream++, core::RandomPurpose::kParameterInit};
    const core::TensorView view = model.parameters().value(parameter);
    core::dispatch_float("initialize", view.dtype(), [&]<class T>(T) {
      std::vector<T> values(static_cast<size_t>(view.elements()));
      core::parallel_ranges(model.context(), view.elements(), 4096,
                            [&](int64_t begin, int64_t end) {
                              for (int64_t i = begin; i < end; ++i) {
                                values[static_cast<size_t>(i)] =
                                    static_cast<T>(element(key, static_cast<uint64_t>(i)));
                              }
                            });
      core::copy(model.context(), core::TensorView(values.data(), view.dtype(), view.shape()),
                 view);
    });
  }
  model.parameters().update_rounded();
}

}  // namespace longhaul::model
