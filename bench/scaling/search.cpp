#include "bench/scaling/search.h"

#include <algorithm>

namespace longhaul::bench {

namespace {

using dist::ExchangeAlgorithm;

StepQuestion step_question(const SearchQuestion& q, const Choice& choice) {
  return {.model = q.model,
          .network = q.network,
          .device = q.device,
          .mesh = choice.mesh,
          .batch = {.length = q.length,
                    .sequences = q.sequences,
                    .accumulation = choice.accumulation,
                    .recompute = choice.recompute},
          .sharing = q.sharing,
          .algorithm = choice.algorithm,
          .bucket_bytes = 0};
}

bool fits(const SearchQuestion& q, const Choice& choice) {
  return q.device.memory_bytes == 0 || memory_of(step_question(q, choice)) <= q.device.memory_bytes;
}

/// The fewest micro-steps that fit.
std::optional<Choice> with_micro_steps(const SearchQuestion& q, Choice choice) {
  const int64_t rows = q.sequences / choice.mesh.data;
  for (choice.accumulation = 1; choice.accumulation <= rows; ++choice.accumulation) {
    if (rows % choice.accumulation == 0 && fits(q, choice)) return choice;
  }
  return std::nullopt;
}

}  // namespace

std::vector<ExchangeAlgorithm> algorithms_of(Sharing sharing, int64_t sequence_ranks) {
  if (sharing == Sharing::kHeads || sequence_ranks == 1) return {ExchangeAlgorithm::kChain};
  return {ExchangeAlgorithm::kAllGather, ExchangeAlgorithm::kChain, ExchangeAlgorithm::kLogStep};
}

std::optional<Choice> fitting(const SearchQuestion& q, dist::MeshShape mesh,
                              ExchangeAlgorithm algorithm) {
  const Choice plain{.mesh = mesh, .algorithm = algorithm, .step = {}};
  if (!misfit(step_question(q, plain)).empty()) return std::nullopt;
  std::optional<Choice> best;
  for (const bool recompute : {false, true}) {
    Choice choice = plain;
    choice.recompute = recompute;
    auto found = with_micro_steps(q, choice);
    if (!found) continue;
    found->step = predict(step_question(q, *found));
    if (!best || found->step.seconds < best->step.seconds) best = found;
    if (found->accumulation == 1) break;  // recomputing as well gains nothing
  }
  return best;
}

std::vector<Choice> choices(const SearchQuestion& q) {
  std::vector<Choice> all;
  for (int64_t sequence = 1; sequence <= q.ranks; ++sequence) {
    if (q.ranks % sequence != 0) continue;
    const int64_t data = q.ranks / sequence;
    if (q.most_data > 0 && data > q.most_data) continue;
    for (const auto algorithm : algorithms_of(q.sharing, sequence)) {
      const auto choice = fitting(
          q, {.data = static_cast<int>(data), .sequence = static_cast<int>(sequence)}, algorithm);
      if (choice) all.push_back(*choice);
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const Choice& a, const Choice& b) {
    return a.step.seconds < b.step.seconds;
  });
  return all;
}

}  // namespace longhaul::bench
