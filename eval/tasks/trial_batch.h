// Trials of equal prompt length, side by side.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "data/tasks/task.h"
#include "eval/piece_run.h"
#include "model/language_model.h"

namespace longhaul::eval {

struct AnswerRequest {
  int64_t count = 1;            ///< tokens after the prompt
  bool teacher_forced = false;  ///< each follows the right ones before, not the model's own
  int64_t piece = 2048;         ///< tokens of a prompt or of right answers read at a time, at most
  const model::RecurrentState* start = nullptr;  ///< as TaskOptions::start
};

/// Collective over the sequence group: what the model says after each prompt, always the most
/// likely token; on the group's first rank, nothing elsewhere. `advance` is called on every rank
/// after each piece with the tokens read so far.
std::vector<std::vector<int32_t>> answers_of(model::LanguageModel& model, PieceRun& pieces,
                                             const std::vector<const data::Example*>& trials,
                                             const AnswerRequest& request,
                                             const std::function<void(int64_t read)>& advance);

}  // namespace longhaul::eval
