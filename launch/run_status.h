// What a run folder says about its run, also while the run writes to it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul::launch {

enum class RunState : uint8_t {
  kWaiting,  ///< nothing was trained yet
  kRunning,  ///< a job holds the folder's lock
  kStopped,  ///< interrupted or crashed: train --resume goes on
  kDone      ///< all steps done and the final model written
};
std::string_view name_of(RunState state);

struct RunStatus {
  std::string name;  ///< the folder as given
  RunState state = RunState::kWaiting;
  int64_t step = 0, steps = 0;      ///< optimizer steps done, of how many
  std::optional<double> loss;       ///< of the newest step
  std::optional<double> evaluated;  ///< loss at the end of the newest evaluation's sequences
  std::optional<double> tokens_per_second;  ///< over the newest steps
  std::optional<double> seconds_left;       ///< at that speed; not where the run is done
  std::optional<int64_t> checkpoint;        ///< newest complete one
  std::vector<std::string> warnings;        ///< in words
};

/// Reads run.yaml, metrics.jsonl, checkpoints/ and the lock; changes nothing. InputError where the
/// folder is no run's or holds what cannot be understood; a torn last line of metrics.jsonl is left
/// out, an unreadable end a warning.
RunStatus read_run_status(const std::filesystem::path& folder);

/// One row a run, then the warnings, each with the run's name.
std::string status_table(const std::vector<RunStatus>& runs);

/// "h:mm:ss", with days from the second on: "2d 3:04:05".
std::string duration_text(double seconds);

}  // namespace longhaul::launch
