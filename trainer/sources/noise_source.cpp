// Random noise: "an IID Gaussian with zero mean and a constant standard deviation (using the same
// mean / standard deviation for all layers and heads)". The conv state is zero.
#include <algorithm>

#include "trainer/sources/sources.h"

namespace longhaul::trainer {

namespace {

class NoiseSource final : public InitialStateSource {
 public:
  NoiseSource(const InitialStateConfig& config, const SourceSetup& setup)
      : setup_(setup),
        zero_probability_(config.noise_zero_probability),
        state_(setup.context, setup.specs, setup.state_dtype, setup.batch) {
    int64_t most = 0;
    for (const model::StateSpec& spec : setup.specs) most = std::max(most, spec.groups);
    const auto all_groups = [&](double value) {
      return core::Tensor::from(setup.context, std::vector(static_cast<size_t>(most), value),
                                {most});
    };
    mean_ = all_groups(config.mean);
    deviation_ = all_groups(config.deviation);
    for (const model::StateSpec& spec : setup.specs) {
      moments_.push_back(
          {mean_.view().slice(0, 0, spec.groups), deviation_.view().slice(0, 0, spec.groups)});
    }
  }

  const model::RecurrentState& initial(const SourceStep& step) override {
    draw_noise(setup_, step, moments_, zero_probability_, state_);
    return state_;
  }
  void keep(const SourceStep&, const model::RecurrentState&) override {}
  bool uses_final_states() const override { return false; }
  std::vector<NamedTensor> stored() override { return {}; }

 private:
  SourceSetup setup_;
  double zero_probability_;
  model::RecurrentState state_;
  core::Tensor mean_, deviation_;  // as many of each as the tensor with the most groups has
  std::vector<GroupMoments> moments_;
};

}  // namespace

std::unique_ptr<InitialStateSource> make_noise_source(const InitialStateConfig& config,
                                                      const SourceSetup& setup) {
  return std::make_unique<NoiseSource>(config, setup);
}

}  // namespace longhaul::trainer
