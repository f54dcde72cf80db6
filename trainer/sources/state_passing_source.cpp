// State passing: the final states of one micro-batch are the initial states of the next, each
// zeroed with a probability. The paper passes from batch to batch; with accumulation a micro-batch
// is as good a "previous (unrelated)" batch as any, so one buffer serves all micro-steps. States
// are shuffled over the sequences of all data ranks: they travel, and the run is the same on any
// number of ranks.
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "kernels/core/random.h"
#include "kernels/state/state_ops.h"
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
    std::vector<dist::Transfer> sends, receives;
    std::vector<int32_t> from(static_cast<size_t>(setup_.batch), kernels::StateGather::kKeep);
    for (int64_t row = 0; row < rows(); ++row) {
      const bool is_zero =
          starts_from_zero(setup_.seed, step, row - first_row(), zero_probability_);
      const int64_t giver = origin[static_cast<size_t>(row)];
      if (!is_own(row)) {
        if (!is_zero && is_own(giver)) give(giver, row, sends);
        continue;
      }
      int32_t& own = from[static_cast<size_t>(row - first_row())];
      if (is_zero) {
        own = kernels::StateGather::kZero;
      } else if (is_own(giver)) {
        own = static_cast<int32_t>(giver - first_row());
      } else {
        take(giver, row, receives);
      }
    }
    // All ranks go through the rows in one order, so a message is known by its place.
    const auto under_way = setup_.group.start_transfers(sends, receives);
    state_.gather(setup_.context, from, &passed_);
    under_way->wait();
    return state_;
  }

  void keep(const SourceStep&, const model::RecurrentState& final_state) override {
    for_each_passed([&](size_t i) { core::copy(setup_.context, final_state[i], passed_[i]); });
  }

  bool uses_final_states() const override { return true; }

  std::vector<NamedTensor> stored() override {
    return stored_rows(setup_.specs, passed_, "passed", pass_conv_);
  }

 private:
  // Rows are numbered over the micro-step's batch of all data ranks.
  int64_t rows() const { return setup_.batch * setup_.group.size(); }
  int64_t first_row() const { return setup_.batch * setup_.group.rank(); }
  bool is_own(int64_t row) const { return row >= first_row() && row < first_row() + setup_.batch; }

  /// Row whose state each row gets: a permutation of all rows, so that it does not depend on how
  /// they are spread over ranks.
  std::vector<int64_t> origins(const SourceStep& step) const {
    std::vector<int64_t> origin(static_cast<size_t>(rows()));
    std::iota(origin.begin(), origin.end(), int64_t{0});
    if (!permute_) return origin;
    const core::RandomKey key{setup_.seed, static_cast<uint64_t>(step.micro_step),
                              core::RandomPurpose::kStatePermutation};
    const int64_t first_sequence = step.first_sequence - first_row();
    for (int64_t i = rows() - 1; i > 0; --i) {
      const auto index = static_cast<uint64_t>(first_sequence + i);
      const uint64_t other = core::uniform_below(key, index, static_cast<uint64_t>(i) + 1);
      std::swap(origin[static_cast<size_t>(i)], origin[other]);
    }
    return origin;
  }

  /// What this rank's row `from` left behind, to row `to` of another rank.
  void give(int64_t from, int64_t to, std::vector<dist::Transfer>& sends) const {
    for_each_passed([&](size_t i) {
      sends.push_back(
          {passed_[i].view().select(0, from - first_row()), static_cast<int>(to / setup_.batch)});
    });
  }
  void take(int64_t from, int64_t to, std::vector<dist::Transfer>& receives) const {
    for_each_passed([&](size_t i) {
      receives.push_back(
          {state_[i].view().select(0, to - first_row()), static_cast<int>(from / setup_.batch)});
    });
  }
  /// body(i) for the tensors that are passed; the others are zero everywhere.
  template <class Body>
  void for_each_passed(const Body& body) const {
    for (size_t i = 0; i < setup_.specs.size(); ++i) {
      if (setup_.specs[i].kind == model::StateKind::kRecurrent || pass_conv_) body(i);
    }
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
