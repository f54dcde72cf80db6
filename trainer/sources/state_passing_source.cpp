// State passing: the final states of one micro-batch are the initial states of the next, each
// zeroed with a probability. The paper passes from batch to batch; with accumulation a micro-batch
// is as good a "previous (unrelated)" batch as any, so one buffer serves all micro-steps.
#include <numeric>
#include <utility>

#include "kernels/core/random.h"
#include "trainer/sources/sources.h"

namespace longhaul::trainer {

namespace {

class StatePassingSource final : public InitialStateSource {
 public:
  StatePassingSource(const InitialStateConfig& config, const SourceSetup& setup)
      : setup_(setup),
        zero_probability_(config.zero_probability),
        permute_(config.permute),
        pass_conv_(config.pass_conv),
        passed_(setup.context, setup.specs, setup.state_dtype, setup.batch),
        state_(setup.context, setup.specs, setup.state_dtype, setup.batch) {}

  const model::RecurrentState& initial(const SourceStep& step) override {
    const std::vector<int64_t> origin = origins(step);
    for (int64_t row = 0; row < setup_.batch; ++row) {
      if (starts_from_zero(setup_.seed, step, row, zero_probability_)) {
        state_.zero_sequence(setup_.context, row);
      } else {
        state_.copy_sequence(setup_.context, row, passed_, origin[static_cast<size_t>(row)]);
      }
    }
    return state_;
  }

  void keep(const SourceStep&, const model::RecurrentState& final_state) override {
    for (size_t i = 0; i < setup_.specs.size(); ++i) {
      if (setup_.specs[i].kind == model::StateKind::kRecurrent || pass_conv_) {
        core::copy(setup_.context, final_state[i], passed_[i]);
      }
    }
  }

  bool uses_final_states() const override { return true; }

  std::vector<NamedTensor> stored() override {
    return stored_rows(setup_.specs, passed_, "passed", pass_conv_);
  }

 private:
  /// Row whose state each row gets: a permutation of this rank's own rows, since states do not
  /// travel between ranks. It is the one thing here that depends on how rows are spread over them.
  std::vector<int64_t> origins(const SourceStep& step) const {
    std::vector<int64_t> origin(static_cast<size_t>(setup_.batch));
    std::iota(origin.begin(), origin.end(), int64_t{0});
    if (!permute_) return origin;
    const core::RandomKey key{setup_.seed, static_cast<uint64_t>(step.micro_step),
                              core::RandomPurpose::kStatePermutation};
    for (int64_t i = setup_.batch - 1; i > 0; --i) {
      const auto index = static_cast<uint64_t>(step.first_sequence + i);
      const uint64_t other = core::uniform_below(key, index, static_cast<uint64_t>(i) + 1);
      std::swap(origin[static_cast<size_t>(i)], origin[other]);
    }
    return origin;
  }

  SourceSetup setup_;
  double zero_probability_;
  bool permute_, pass_conv_;
  model::RecurrentState passed_, state_;
};

}  // namespace

std::unique_ptr<InitialStateSource> make_state_passing_source(const InitialStateConfig& config,
                                                              const SourceSetup& setup) {
  return std::make_unique<StatePassingSource>(config, setup);
}

}  // namespace longhaul::trainer
