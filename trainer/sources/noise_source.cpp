// Random noise: "an IID Gaussian with zero mean and a constant standard deviation (using the same
// mean / standard deviation for all layers and heads)". The conv state is zero.
#include "trainer/sources/sources.h"

namespace longhaul::trainer {

namespace {

class NoiseSource final : public InitialStateSource {
 public:
  NoiseSource(const InitialStateConfig& config, const SourceSetup& setup)
      : setup_(setup),
        zero_probability_(config.noise_zero_probability),
        state_(setup.context, setup.specs, setup.state_dtype, setup.batch) {
    for (const model::StateSpec& spec : setup.specs) {
      const auto all_groups = [&](double value) {
        return core::Tensor::from(
            setup.context, std::vector(static_cast<size_t>(spec.groups), value), {spec.groups});
      };
      moments_.push_back({all_groups(config.mean), all_groups(config.deviation)});
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
  std::vector<GroupMoments> moments_;
};

}  // namespace

std::unique_ptr<InitialStateSource> make_noise_source(const InitialStateConfig& config,
                                                      const SourceSetup& setup) {
  return std::make_unique<NoiseSource>(config, setup);
}

}  // namespace longhaul::trainer
