// What a run folder tells a report.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "eval/configuration.h"
#include "eval/effrem.h"
#include "eval/line_up.h"
#include "eval/perplexity.h"
#include "eval/states.h"
#include "eval/tasks/task_result.h"

namespace longhaul::eval {

/// One "train" record of metrics.jsonl.
struct TrainingPoint {
  int64_t step = 0, tokens = 0;
  std::map<std::string, double> values;  ///< "loss", "gradient_norm", …
};

struct RunFolder {
  std::string name;
  std::vector<TrainingPoint> training;  ///< by step
  Configuration configuration;
  // What evaluation/*.json holds, by file name.
  std::vector<Named<PositionCurve>> evaluations;
  std::vector<Named<EffRem>> effrems;
  std::vector<Named<StateStatistics>> states;
  std::vector<Named<TaskResult>> tasks;
  std::vector<std::string> missing;  ///< what is not there and what was left out, in words
};

/// Any of the three parts may be missing, not all. Throws InputError for a folder that holds
/// nothing of a run, and for files that cannot be understood; a torn last line of metrics.jsonl
/// (the run still writes, or was killed) is left out.
RunFolder read_run_folder(const std::filesystem::path& folder);

std::vector<TrainingPoint> read_training(const std::string& text, const std::string& name,
                                         std::vector<std::string>& missing);

}  // namespace longhaul::eval
