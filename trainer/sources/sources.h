// The five sources, and what several of them do alike.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "trainer/initial_state.h"

namespace longhaul::trainer {

std::unique_ptr<InitialStateSource> make_zero_source(const SourceSetup& setup);
std::unique_ptr<InitialStateSource> make_noise_source(const InitialStateConfig& config,
                                                      const SourceSetup& setup);
std::unique_ptr<InitialStateSource> make_fitted_noise_source(const InitialStateConfig& config,
                                                             const SourceSetup& setup);
std::unique_ptr<InitialStateSource> make_state_passing_source(const InitialStateConfig& config,
                                                              const SourceSetup& setup);
std::unique_ptr<InitialStateSource> make_tbtt_source(const InitialStateConfig& config,
                                                     const SourceSetup& setup);

/// Whether this row of the micro-step is drawn to start from zero.
bool starts_from_zero(uint64_t seed, const SourceStep& step, int64_t row, double probability);

/// Mean and deviation (fp64) of each group of one state tensor, where the state is.
struct GroupMoments {
  core::TensorView mean, deviation;
};

/// Fills every kRecurrent tensor of `state` with IID normal numbers, moments[i] for tensor i; then
/// zeroes the rows that are drawn to start from zero. The numbers depend on (seed, micro-step,
/// global sequence, tensor, element) alone.
void draw_noise(const SourceSetup& setup, const SourceStep& step,
                const std::vector<GroupMoments>& moments, double zero_probability,
                model::RecurrentState& state);

/// The tensors of a per-row buffer of states under "`prefix`.NAME" (conv states only if asked).
std::vector<InitialStateSource::NamedTensor> stored_rows(const std::vector<model::StateSpec>& specs,
                                                         const model::RecurrentState& state,
                                                         const char* prefix, bool conv);

}  // namespace longhaul::trainer
