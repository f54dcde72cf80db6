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
  std::string moved;
  for (const auto& key : computation_differences(earlier, config)) {
    if (key.rfind("parallel.", 0) == 0) {
      moved += (moved.empty() ? "" : ", ") + key;
    } else {
      problems.push_back(
          message(file.string(), ": ", key, ": differs from the run that is to be resumed"));
    }
  }
  if (!problems.empty()) throw InputError(problems);
  if (!moved.empty()) {
    LOG(WARNING) << "resumed with another " << moved
                 << ": the run goes on, but not bit for bit as it would have";
  }
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

}  // namespace longhaul::launch
