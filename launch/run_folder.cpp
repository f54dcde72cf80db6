#include "launch/run_folder.h"

#include <glog/logging.h>

#include <string>
#include <system_error>

#include "kernels/core/error.h"
#include "launch/environment/shared_folder.h"
#include "launch/run_lock.h"
#include "model/checkpoint/atomic_file.h"

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

void check_same_computation(const RunConfig& config, const fs::path& file) {
  const RunConfig earlier = read_run_config(file.string());
  core::Problems problems;
  for (const auto& key : computation_differences(earlier, config)) {
    problems.push_back(message(
        file.string(), ": ", key, ": differs from the run that is to be resumed; to train ",
        "on with other settings, start a new run from its model: model.from=", config.run.folder,
        " run.folder=…"));
  }
  if (!problems.empty()) throw InputError(problems);
  const auto& before = earlier.parallel;
  const auto& now = config.parallel;
  for (const auto& key : rounding_differences(earlier, config)) {
    LOG(WARNING) << "resumed with another " << key
                 << ": the run goes on, but for the rounding of sums as it would have";
  }
  LOG_IF(WARNING, now.gradient == GradientMode::kTruncated && before.sequence != now.sequence)
      << "parallel.gradient: truncated: the gradients are now cut at the borders of "
      << now.sequence << " segments of each sequence, before at those of " << before.sequence;
}

}  // namespace

void open_run_folder(const fs::path& folder) {
  if (fs::exists(folder) && !fs::is_directory(folder)) {
    throw InputError(message("run.folder: ", folder.string(), " is a file, expected a folder"));
  }
  const bool is_run = fs::exists(folder / kRunConfigFile) || fs::exists(folder / kRunLockFile);
  if (fs::exists(folder) && !is_run && !holds_nothing(folder)) {
    throw InputError(message("run.folder: ", folder.string(), " is there and holds no run (no ",
                             kRunConfigFile, "), expected a new folder"));
  }
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw core::Error(message(folder.string(), ": ", failed.message()));
}

void write_run_config(const RunConfig& config, bool resumes) {
  const fs::path file = fs::path(config.run.folder) / kRunConfigFile;
  if (resumes && fs::exists(file)) check_same_computation(config, file);
  model::write_file_atomically(file, to_yaml(config));
}

void keep_tokenizer(const fs::path& run, const std::vector<data::TokenizerFile>& files) {
  const fs::path folder = run / kRunTokenizer;
  if (!files.empty()) fs::create_directories(folder);
  for (const auto& file : files) model::write_file_atomically(folder / file.name, file.text);
}

}  // namespace longhaul::launch
