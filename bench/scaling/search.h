// Which mesh, which exchange algorithm.
#pragma once

#include <optional>
#include <vector>

#include "bench/scaling/prediction.h"

namespace longhaul::bench {

struct SearchQuestion {
  const model::ModelConfig& model;
  const Network& network;
  const Device& device;
  int64_t ranks = 1;
  int64_t length = 0, sequences = 1;  ///< of an optimizer step
  Sharing sharing = Sharing::kStates;
  int64_t most_data = 0;  ///< data ranks; 0: as many as sequences allow
};

/// A step of one mesh: micro-steps and recomputation as memory asks for, the best bucket size.
struct Choice {
  dist::MeshShape mesh;
  dist::ExchangeAlgorithm algorithm = dist::ExchangeAlgorithm::kChain;
  int64_t accumulation = 1;
  bool recompute = false;
  Prediction step;
};

/// The fastest that fits of this mesh and algorithm; nothing where none does.
std::optional<Choice> fitting(const SearchQuestion& question, dist::MeshShape mesh,
                              dist::ExchangeAlgorithm algorithm);

/// Of every mesh and algorithm, fastest first. Empty where none fits.
std::vector<Choice> choices(const SearchQuestion& question);

/// Algorithms that differ on such a mesh.
std::vector<dist::ExchangeAlgorithm> algorithms_of(Sharing sharing, int64_t sequence_ranks);

}  // namespace longhaul::bench
