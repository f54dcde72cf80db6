// Fitted noise: "we record the mean and standard deviation of the final states of the sequences
// across all layers and heads. Then, we initialize the state with an IID Gaussian distribution
// with mean and standard deviation fitted to the ones seen during training (using a different mean
// / standard deviation for each layer and head)". Running E[x] and E[x²], so that the deviation is
// that of all states seen, not the mean of the micro-steps' own. The conv state is zero.
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
      GroupMoments& own = fitted_.emplace_back();
      if (spec.kind != model::StateKind::kRecurrent) continue;
      groups_ += spec.groups;
      for (core::Tensor* moment : {&own.mean, &own.deviation}) {
        *moment = core::Tensor(setup.context, core::DType::kF64, {spec.groups});
      }
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
    int64_t first = 0;
    for (size_t i = 0; i < setup_.specs.size(); ++i) {
      const model::StateSpec& spec = setup_.specs[i];
      if (spec.kind != model::StateKind::kRecurrent) continue;
      kernels::state_moments(setup_.context,
                             {.state = final_state[i],
                              .sum = part(first, spec.groups),
                              .sum_of_squares = part(groups_ + first, spec.groups)});
      const int64_t count = final_state[i].elements() / spec.groups;
      std::fill_n(sums.begin() + 2 * groups_ + first, spec.groups, static_cast<double>(count));
      first += spec.groups;
    }
    setup_.group.all_reduce_sum(part(0, 3 * groups_));
    for (int64_t i = 0; i < 2 * groups_; ++i) {
      sums[static_cast<size_t>(i)] /= sums[static_cast<size_t>(2 * groups_ + i % groups_)];
    }
    return sums;
  }

  /// What the running moments say, to where the states are.
  void fit() {
    auto next = running_.begin();
    for (size_t i = 0; i < setup_.specs.size(); ++i) {
      const model::StateSpec& spec = setup_.specs[i];
      if (spec.kind != model::StateKind::kRecurrent) continue;
      std::vector<double> mean, deviation;
      for (int64_t group = 0; group < spec.groups; ++group, ++next) {
        const double mean_square = *(next + groups_);
        mean.push_back(*next);
        deviation.push_back(std::sqrt(std::max(0.0, mean_square - *next * *next)));
      }
      for (auto [values, target] :
           {std::pair{&mean, &fitted_[i].mean}, std::pair{&deviation, &fitted_[i].deviation}}) {
        core::copy(setup_.context,
                   core::TensorView(values->data(), core::DType::kF64, {spec.groups}), *target);
      }
    }
  }

  SourceSetup setup_;
  double momentum_, zero_probability_;
  model::RecurrentState state_;
  int64_t groups_ = 0;           // of all recurrent tensors together
  std::vector<double> running_;  // E[x] of each group, then E[x²]
  double updates_ = 0;
  std::vector<GroupMoments> fitted_;  // by tensor; empty for those that are no recurrent states
};

}  // namespace

std::unique_ptr<InitialStateSource> make_fitted_noise_source(const InitialStateConfig& config,
                                                             const SourceSetup& setup) {
  return std::make_unique<FittedNoiseSource>(config, setup);
}

}  // namespace longhaul::trainer
