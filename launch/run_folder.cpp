#include "launch/run_folder.h"

#include <glog/logging.h>

#include <system_error>

#include "kernels/core/error.h"
#include "model/checkpoint/atomic_file.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::InputError;
using core::message;

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

void prepare_run_folder(const RunConfig& config, bool resume) {
  const fs::path folder = config.run.folder;
  const fs::path file = folder / "run.yaml";
  const bool is_run = fs::exists(file);
  if (fs::exists(folder) && !fs::is_directory(folder)) {
    throw InputError(message("run.folder: ", folder.string(), " is a file, expected a folder"));
  }
  if (fs::exists(folder) && !is_run && !fs::is_empty(folder)) {
    throw InputError(message("run.folder: ", folder.string(),
                             " is there and holds no run (no run.yaml), expected a new folder"));
  }
  const auto newest = trainer::newest_checkpoint(folder);
  if (newest && !resume) {
    throw InputError(message("run.folder: ", folder.string(),
                             " holds a run with a checkpoint of step ", *newest,
                             ", expected another folder, or --resume to continue it"));
  }
  if (newest && is_run) check_same_computation(config, file);
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw core::Error(message(folder.string(), ": ", failed.message()));
  model::write_file_atomically(file, to_yaml(config));
}

}  // namespace longhaul::launch
