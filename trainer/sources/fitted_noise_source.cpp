// Fitted noise: "we record the mean and standard deviation of the final states of the sequences
// across all layers and heads. Then, we initialize the state with an IID Gaussian distribution
// with mean and standard deviation fitted to the ones seen during training (using a different mean
// / standard deviation for each layer and head)". Running E[x] and E[x²], so that the deviation is
// that of all states seen, not the mean of the micro-steps' own. The conv state is zero. A Mamba-1,
// which has no heads, has a mean and a deviation for each channel.
#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/state/state_ops.h"
#include "trainer/sources/sources.h"

namespace longhaul::trainer {

namespace {

class FittedNoiseSource final : public InitialStateSource {
 public:
  FittedNoiseSource(const InitialStateConfig& config, const SourceSetup& setup)
      : setup_(setup),
        momentum_(config.momentum),
        zero_probability_(config.noise_zero_probability),
        state_(setup.context, setup.specs, setup.state_dtype, setup.batch) {
    for (const model::StateSpec& spec : setup.specs) {
      if (spec.kind == model::StateKind::kRecurrent) groups_ += spec.groups;
    }
    on_device_ = core::Tensor(setup.context, core::DType::kF64, {2, groups_});
    int64_t first = 0;
    for (const model::StateSpec& spec : setup.specs) {
      GroupMoments& own = fitted_.emplace_back();
      if (spec.kind != model::StateKind::kRecurrent) continue;
      own.mean = on_device_.view().select(0, 0).slice(0, first, first + spec.groups);
      own.deviation = on_device_.view().select(0, 1).slice(0, first, first + spec.groups);
      first += spec.groups;
    }
    running_.assign(static_cast<size_t>(2 * groups_), 0);
  }

  const model::RecurrentState& initial(const SourceStep& step) override {
    if (updates_ == 0) return state_;  // nothing seen yet: zeros
    fit();
    draw_noise(setup_, step, fitted_, zero_probability_, state_);
    return state_;
  }

  void keep(const SourceStep&, const model::RecurrentState& final_state) override {
    const std::vector<double> seen = reduced_moments(final_state);
    const double weight = updates_ == 0 ? 1 : momentum_;
    for (size_t i = 0; i < running_.size(); ++i) {
      running_[i] = (1 - weight) * running_[i] + weight * seen[i];
    }
    updates_ += 1;
  }

  bool uses_final_states() const override { return true; }

  std::vector<NamedTensor> stored() override {
    return {{"moments", {running_.data(), core::DType::kF64, {2, groups_}}},
            {"updates", {&updates_, core::DType::kF64, {1}}}};
  }

 private:
  /// Means of x for every group of every recurrent tensor, then those of x², over all data ranks.
  std::vector<double> reduced_moments(const model::RecurrentState& final_state) {
    std::vector<double> sums(static_cast<size_t>(3 * groups_), 0);  // Σx, Σx², count
    const auto part = [&](int64_t first, int64_t count) {
      return core::TensorView(sums.data() + first, core::DType::kF64, {count});
    };
    std::vector<core::TensorView> states;
    int64_t first = 0;
    for (size_t i = 0; i < setup_.specs.size(); ++i) {
      const model::StateSpec& spec = setup_.specs[i];
      if (spec.kind != model::StateKind::kRecurrent) continue;
      states.push_back(final_state[i]);
      const int64_t count = final_state[i].elements() / spec.groups;
      std::fill_n(sums.begin() + 2 * groups_ + first, spec.groups, static_cast<double>(count));
      first += spec.groups;
    }
    kernels::state_moments(
        setup_.context,
        {.states = states, .sum = part(0, groups_), .sum_of_squares = part(groups_, groups_)});
    setup_.group.all_reduce_sum(part(0, 3 * groups_));
    for (int64_t i = 0; i < 2 * groups_; ++i) {
      sums[static_cast<size_t>(i)] /= sums[static_cast<size_t>(2 * groups_ + i % groups_)];
    }
    return sums;
  }

  /// What the running moments say, to where the states are.
  void fit() {
    std::vector<double> moments(running_);
    for (size_t group = 0, half = moments.size() / 2; group < half; ++group) {
      const double mean = running_[group], mean_square = running_[half + group];
      moments[half + group] = std::sqrt(std::max(0.0, mean_square - mean * mean));
    }
    core::copy(setup_.context, core::TensorView(moments.data(), core::DType::kF64, {2, groups_}),
               on_device_);
  }

  SourceSetup setup_;
  double momentum_, zero_probability_;
  model::RecurrentState state_;
  int64_t groups_ = 0;           // of all recurrent tensors together
  std::vector<double> running_;  // E[x] of each group, then E[x²]
  double updates_ = 0;
  core::Tensor on_device_;            // [2, groups]: means, deviations
  std::vector<GroupMoments> fitted_;  // its parts by tensor; absent for what is no recurrent state
};

}  // namespace

std::unique_ptr<InitialStateSource> make_fitted_noise_source(const InitialStateConfig& config,
                                                             const SourceSetup& setup) {
  return std::make_unique<FittedNoiseSource>(config, setup);
}

}  // namespace longhaul::trainer
