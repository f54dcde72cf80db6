#include "launch/sweep/measure_memory.h"

#include <algorithm>
#include <limits>

#include "data/tasks/task_kind.h"
#include "eval/memory_plan.h"
#include "eval/windows.h"
#include "launch/eval/measure.h"
#include "launch/task_settings.h"

namespace longhaul::launch {

namespace {

/// Sequences that a rank reads side by side, and tokens of each over all its sequence ranks.
struct Extents {
  int64_t sequences = 1, tokens = 1;
  bool is_shared = true;  ///< by sequence ranks
};

int64_t number_of(const MeasureConfig& measure, const std::string& option, int64_t absent) {
  const std::vector<int64_t> given = measure.numbers(option);
  return given.empty() ? absent : given.front();
}

/// Of the longest prompt.
int64_t prompt_tokens(const MeasureConfig& measure) {
  const auto kind = std::find_if(task_kinds().begin(), task_kinds().end(),
                                 [&](const auto& each) { return each->name() == measure.kind; });
  std::vector<int64_t> lengths = measure.numbers("lengths");
  if (lengths.empty()) lengths = (*kind)->usual_lengths();
  int64_t most = 1;
  for (const int64_t length : lengths) {
    if (length == 0) return std::numeric_limits<int64_t>::max();  // as long as BABILong's facts are
    most = std::max(most, (*kind)->prompt_of(length));
  }
  return most;
}

/// Of the pieces that take most.
std::vector<Extents> extents_of(const MeasureConfig& measure, int64_t data_ranks,
                                int64_t training_length) {
  const EvalOptions defaults;
  const int64_t piece = number_of(measure, "piece", defaults.piece);
  int64_t batch = number_of(measure, "batch", defaults.batch);
  if (!measure.has("length")) return {{batch, std::min(piece, prompt_tokens(measure))}};
  const int64_t length = number_of(measure, "length", 1);
  const int64_t sequences = number_of(measure, "sequences", 1);
  batch = std::min(batch, (sequences + data_ranks - 1) / data_ranks);
  const int64_t window = number_of(measure, "window", 0);
  if (window > 0) {
    const eval::Windows windows(length, window);
    const int64_t together = std::max<int64_t>(1, piece / windows.width());
    return {{batch * std::min(together, windows.count()), windows.width(), false}};
  }
  if (measure.kind != "effrem") return {{batch, std::min(piece, length)}};
  const int64_t trained = number_of(measure, "training-length", training_length);
  const double tokens =
      static_cast<double>(piece) * static_cast<double>(number_of(measure, "batch", defaults.batch));
  std::vector<Extents> all;
  for (const auto& [rows, each] : eval::effrem_pieces(length, trained, tokens)) {
    all.push_back({rows, each});
  }
  return all;
}

}  // namespace

int64_t measure_memory(const SweepConfig& sweep, const MeasureConfig& measure,
                       const model::ModelConfig& shape, int64_t training_length) {
  const int64_t sequence_ranks =
      std::clamp<int64_t>(number_of(measure, "sequence-ranks", 1), 1, sweep.ranks);
  const int64_t data_ranks = sweep.ranks / sequence_ranks;
  ComputeOptions compute;
  if (measure.has("dtype")) compute.dtype = measure.texts("dtype").front();
  int64_t most = 0;
  for (const Extents& extents : extents_of(measure, data_ranks, training_length)) {
    // More fits nowhere, and would overflow.
    constexpr int64_t kMostTokens = int64_t{1} << 36;
    const int64_t sequences = std::min(extents.sequences, kMostTokens);
    most = std::max(
        most,
        eval::plan_memory(
            {.model = shape,
             .sequences = sequences,
             .tokens = std::min(extents.tokens, std::max<int64_t>(1, kMostTokens / sequences)),
             .sequence_ranks = static_cast<int>(extents.is_shared ? sequence_ranks : 1),
             .dtype = compute.element_type(),
             .threads = static_cast<int>(sweep.threads)}));
  }
  return sweep.ranks * most;
}

}  // namespace longhaul::launch
