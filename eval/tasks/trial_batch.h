// Trials of equal prompt length, side by side.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "data/tasks/task.h"
#include "eval/piece_run.h"
#include "model/language_model.h"

namespace longhaul::eval {

/// Collective over the sequence group: what the model says after each prompt, `count` tokens, the
/// most likely one after another; on the group's first rank, nothing elsewhere. `advance` is called
/// on every rank after each piece of at most `piece` tokens with the tokens read so far.
std::vector<std::vector<int32_t>> answers_of(model::LanguageModel& model, PieceRun& pieces,
                                             const std::vector<const data::Example*>& trials,
                                             int64_t count, int64_t piece,
                                             const std::function<void(int64_t read)>& advance);

}  // namespace longhaul::eval
