#include "launch/run_folder.h"

#include <glog/logging.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "kernels/core/error.h"
#include "launch/environment/shared_folder.h"
#include "launch/field_list.h"
#include "launch/run_lock.h"
#include "model/checkpoint/atomic_file.h"
#include "model/checkpoint/model_folder.h"
#include "trainer/checkpoint_files.h"
#include "trainer/schedule.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::InputError;
using core::message;

/// But for what a job that ended early left of its check.
bool holds_nothing(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().find(kProbePrefix) == std::string::npos) return false;
  }
  return true;
}

/// The first of the `done` steps that had another rate under the other schedule; 0: none had.
int64_t first_other_rate(const trainer::ScheduleConfig& a, const trainer::ScheduleConfig& b,
                         int64_t done) {
  for (int64_t step = 0; step < done; ++step) {
    if (trainer::learning_rate(a, 1, step) != trainer::learning_rate(b, 1, step)) return step + 1;
  }
  return 0;
}

/// Why the run cannot become one of so many steps; "" where it can.
std::string steps_problem(const RunConfig& earlier, const RunConfig& config, int64_t done) {
  const auto& schedule = config.schedule;
  if (schedule.steps < done) return message("is ", schedule.steps, ", and ", done, " are done");
  const int64_t other = first_other_rate(earlier.schedule, schedule, done);
  if (other == 0) return "";
  return message("with ", schedule.steps, " in place of ", earlier.schedule.steps, " step ", other,
                 ", which is done, would have had another learning rate (schedule.kind ",
                 enum_names(schedule.kind)[static_cast<size_t>(schedule.kind)],
                 "; constant goes on after its end, wsd before its decay)");
}

/// Whether a field of a shape says what the model computes: others are for initialisation or speed.
bool is_computed_with(const ListedField& field) {
  return field.path != "chunk" && !field.help.starts_with("initialisation:");
}

/// "norm_epsilon was 1e-05 and is 0.1, …"
std::string changes_between(model::ModelConfig before, model::ModelConfig after) {
  FieldList first, second;
  before.visit(first);
  after.visit(second);
  std::string text;
  for (size_t i = 0; i < first.fields().size(); ++i) {
    const ListedField& field = first.fields()[i];
    const std::string& now = second.fields()[i].value;
    if (field.value == now || !is_computed_with(field)) continue;
    text += message(text.empty() ? "" : ", ", field.path, " was ", field.value, " and is ", now);
  }
  return text;
}

std::optional<model::ModelConfig> readable_config(const std::string& folder) try {
  return model::read_model_config(folder);
} catch (const InputError&) {
  return std::nullopt;
}

void check_same_computation(const RunConfig& config, const fs::path& file, int64_t step) {
  const RunConfig earlier = read_run_config(file.string());
  core::Problems problems;
  for (const auto& key : computation_differences(earlier, config)) {
    const bool is_steps = key == "schedule.steps";
    const std::string problem = is_steps ? steps_problem(earlier, config, step)
                                         : "differs from the run that is to be resumed";
    if (problem.empty()) continue;
    problems.push_back(
        message(file.string(), ": ", key, ": ", problem,
                "; to train on with other settings, start a new run from its model: model.from=",
                config.run.folder, " run.folder=…"));
  }
  if (!problems.empty()) throw InputError(problems);
  const auto& before = earlier.parallel;
  const auto& now = config.parallel;
  for (const auto& key : rounding_differences(earlier, config)) {
    LOG(WARNING) << "resumed with another " << key
                 << ": the run goes on, but for the rounding of sums as it would have";
  }
  for (const auto& key : evaluation_differences(earlier, config)) {
    LOG_IF(WARNING, config.checkpoint.keep_best > 0)
        << "resumed with another " << key
        << ": checkpoint.keep_best compares evaluations that were made before with those to come";
  }
  LOG_IF(WARNING, now.gradient == GradientMode::kTruncated && before.sequence != now.sequence)
      << "parallel.gradient: truncated: the gradients are now cut at the borders of "
      << now.sequence << " segments of each sequence, before at those of " << before.sequence;
}

/// Whether it, or where it would be made, can be written to.
void check_writable(const fs::path& folder) {
  fs::path there = fs::absolute(folder);
  std::error_code unknown;
  while (!fs::exists(there, unknown) && there != there.parent_path()) there = there.parent_path();
  int problem = 0;
  if (!fs::is_directory(there, unknown)) {
    problem = ENOTDIR;
  } else if (::access(there.c_str(), W_OK | X_OK) != 0) {
    problem = errno;
  }
  if (problem != 0) {
    throw InputError(message("run.folder: ", folder.string(), " cannot be written, since ",
                             there.string(), ": ", std::strerror(problem)));
  }
}

}  // namespace

std::vector<fs::path> spellings_of(const fs::path& path) {
  const auto bare = [](const fs::path& whole) {
    return whole.has_filename() ? whole : whole.parent_path();
  };
  std::vector<fs::path> spellings{bare(fs::weakly_canonical(fs::absolute(path)))};
  const bool goes_up = std::find(path.begin(), path.end(), "..") != path.end();
  if (!goes_up) spellings.push_back(bare(fs::absolute(path).lexically_normal()));
  return spellings;
}

bool was_trained(const fs::path& folder) {
  std::error_code error;
  return fs::is_regular_file(folder / kRunConfigFile, error) &&
         (fs::exists(trainer::checkpoints_folder(folder), error) ||
          fs::exists(folder / "metrics.jsonl", error));
}

void check_run_folder(const fs::path& folder) {
  if (fs::exists(folder) && !fs::is_directory(folder)) {
    throw InputError(message("run.folder: ", folder.string(), " is a file, expected a folder"));
  }
  const bool is_run = fs::exists(folder / kRunConfigFile) || fs::exists(folder / kRunLockFile);
  if (fs::exists(folder) && !is_run && !holds_nothing(folder)) {
    throw InputError(message("run.folder: ", folder.string(), " is there and holds no run (no ",
                             kRunConfigFile, "), expected a new folder"));
  }
  check_writable(folder);
}

void open_run_folder(const fs::path& folder) {
  check_run_folder(folder);
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw core::Error(message(folder.string(), ": ", failed.message()));
}

void check_resumption(const RunConfig& config, int64_t step) {
  const fs::path file = fs::path(config.run.folder) / kRunConfigFile;
  if (fs::exists(file)) check_same_computation(config, file, step);
}

model::ModelConfig shape_to_resume(const RunConfig& config, const model::ModelConfig& given,
                                   bool warn) {
  std::vector<int64_t> steps = trainer::all_checkpoints(config.run.folder);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const std::string folder = trainer::checkpoint_folder(config.run.folder, *step).string();
    const std::optional<model::ModelConfig> shape = readable_config(folder);
    if (!shape) continue;  // who reads the checkpoint says what is wrong with it
    const std::string changes = changes_between(*shape, given);
    LOG_IF(WARNING, warn && !changes.empty())
        << "model.from: " << config.model.from << " is another model than the run began from ("
        << changes << "); the run goes on with that of " << folder;
    return *shape;
  }
  return given;
}

void write_run_config(const RunConfig& config, std::optional<int64_t> resume_from) {
  if (resume_from) check_resumption(config, *resume_from);
  model::write_file_atomically(fs::path(config.run.folder) / kRunConfigFile, to_yaml(config));
}

void keep_tokenizer(const fs::path& run, const std::vector<data::TokenizerFile>& files) {
  const fs::path folder = run / kRunTokenizer;
  if (!files.empty()) fs::create_directories(folder);
  for (const auto& file : files) model::write_file_atomically(folder / file.name, file.text);
}

}  // namespace longhaul::launch
