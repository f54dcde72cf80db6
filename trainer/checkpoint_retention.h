// Which training checkpoints stay.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "trainer/config.h"

namespace longhaul::trainer {

struct RetainedCheckpoint {
  int64_t step = 0;
  std::optional<double> score;  ///< smaller is better; nothing where none was evaluated
  bool in_skipped_row = false;  ///< its parameters could not do the step before it
};

/// Steps of those that no rule of `config` keeps: the newest `keep` (not counting those in a row of
/// skipped steps, which stay until so many others are newer), every multiple of `keep_every`, the
/// `keep_best` of the smallest scores (of equal ones the newer; those that are no numbers never).
/// `checkpoints` ascend.
std::vector<int64_t> superfluous(const std::vector<RetainedCheckpoint>& checkpoints,
                                 const CheckpointConfig& config);

}  // namespace longhaul::trainer
