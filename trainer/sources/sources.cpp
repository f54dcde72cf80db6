#include "trainer/sources/sources.h"

#include "kernels/core/random.h"
#include "kernels/state/state_ops.h"

namespace longhaul::trainer {

bool starts_from_zero(uint64_t seed, const SourceStep& step, int64_t row, double probability) {
  const core::RandomKey key{seed, static_cast<uint64_t>(step.micro_step),
                            core::RandomPurpose::kStateDropout};
  return core::uniform(key, static_cast<uint64_t>(step.first_sequence + row)) < probability;
}

void draw_noise(const SourceSetup& setup, const SourceStep& step,
                const std::vector<GroupMoments>& moments, double zero_probability,
                model::RecurrentState& state) {
  for (size_t i = 0; i < setup.specs.size(); ++i) {
    if (setup.specs[i].kind != model::StateKind::kRecurrent) continue;
    kernels::state_noise(setup.context, {.mean = moments[i].mean,
                                         .deviation = moments[i].deviation,
                                         .key = {setup.seed, static_cast<uint64_t>(step.micro_step),
                                                 core::RandomPurpose::kInitialState},
                                         .first_sequence = step.first_sequence,
                                         .offset = static_cast<uint64_t>(i) << 40,
                                         .state = state[i]});
  }
  std::vector<uint8_t> from_zero;
  for (int64_t row = 0; row < setup.batch; ++row) {
    from_zero.push_back(starts_from_zero(setup.seed, step, row, zero_probability));
  }
  state.zero_sequences(setup.context, from_zero);
}

std::vector<InitialStateSource::NamedTensor> stored_rows(const std::vector<model::StateSpec>& specs,
                                                         const model::RecurrentState& state,
                                                         const char* prefix, bool conv) {
  std::vector<InitialStateSource::NamedTensor> stored;
  for (size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].kind == model::StateKind::kRecurrent || conv) {
      stored.push_back({std::string(prefix) + "." + specs[i].name, state[i], true});
    }
  }
  return stored;
}

}  // namespace longhaul::trainer
