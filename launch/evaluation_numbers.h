#pragma once

#include "eval/perplexity.h"
#include "trainer/trainer.h"

namespace longhaul::launch {

/// What a record "evaluation" of metrics.jsonl holds.
trainer::Numbers evaluation_numbers(const eval::PositionCurve& curve);

}  // namespace longhaul::launch
