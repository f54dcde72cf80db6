#include "launch/sweep/slurm_array.h"

#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "kernels/core/error.h"
#include "launch/sweep/child_processes.h"
#include "launch/sweep/standing.h"
#include "launch/sweep/sweep_run.h"
#include "model/checkpoint/atomic_file.h"

namespace longhaul::launch {

extern const char kForwardSignals[];  // launch/forward_signals.sh, put here by CMake

namespace {

namespace fs = std::filesystem;
using core::message;

std::string quoted(const std::string& path) {
  std::string text = "'";
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < ' ') {
      throw core::InputError(message("'", path, "': holds a control character"));
    }
    text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return text + "'";
}

/// Inside the double quotes of an #SBATCH line, which the shell does not read.
std::string directive(const std::string& option, const std::string& path) {
  static_cast<void>(quoted(path));  // refuses control characters
  if (path.find('"') != std::string::npos || path.find('%') != std::string::npos) {
    throw core::InputError(message("folder: '", path, "' holds \" or %, which Slurm reads"));
  }
  return "#SBATCH " + option + "=\"" + path;
}

constexpr const char* kBody = R"(
arm=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" "$names")
run_job "$program" sweep "$sweep" --arm "$arm"
requeue_if_saved "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
exit "$code"
)";

struct ArrayFiles {
  fs::path script, log;
  size_t count = 0;
};

/// Nothing where no arm has anything to do. The lock ends with this: the tasks want it.
std::optional<ArrayFiles> write_array(const SweepConfig& sweep, const ArmList& list,
                                      const std::string& sweep_file) {
  const SweepLock lock(sweep, "");
  const Standing standing = read_standing(sweep, list);
  if (standing.next.empty()) return std::nullopt;
  std::string names;
  for (const Target& target : standing.next) names += target.arm->name + "\n";
  const fs::path folder = sweep.folder;
  int number = 1;
  while (fs::exists(folder / message("array-", number, ".txt"))) ++number;
  const fs::path names_file = folder / message("array-", number, ".txt");
  ArrayFiles files{.script = folder / message("array-", number, ".sbatch"),
                   .log = folder / "logs" / message("sbatch-", number, ".txt"),
                   .count = standing.next.size()};
  const std::string text = array_script(sweep, {.program = fs::read_symlink("/proc/self/exe"),
                                                .sweep_file = sweep_file,
                                                .names_file = names_file.string(),
                                                .count = files.count});
  fs::create_directories(folder / "logs");
  model::write_file_atomically(names_file, names);
  model::write_file_atomically(files.script, text);
  return files;
}

std::string run_sbatch(const fs::path& script, const fs::path& log) {
  fs::remove(log);
  ChildProcesses children;
  children.start({.words = {"sbatch", script.string()}, .environment = {}, .log = log});
  ChildProcesses::Event event = children.wait();
  while (event.child == 0) event = children.wait();
  std::ostringstream said;
  said << std::ifstream(log, std::ios::binary).rdbuf();
  std::string text = said.str();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (!WIFEXITED(event.status) || WEXITSTATUS(event.status) != 0) {
    throw core::Error(message("sbatch failed: ", text));
  }
  return text;
}

}  // namespace

std::string array_script(const SweepConfig& sweep, const ArrayJob& job) {
  const SlurmConfig& slurm = sweep.slurm;
  std::ostringstream out;
  out << "#!/usr/bin/env bash\n# Written by longhaul sweep: a task an arm.\n"
      << "#SBATCH --job-name=sweep\n"
      << "#SBATCH --array=0-" << job.count - 1;
  if (sweep.at_once > 0) out << "%" << sweep.at_once;
  out << "\n#SBATCH --nodes=" << slurm.nodes << "\n#SBATCH --ntasks=" << sweep.ranks
      << "\n#SBATCH --cpus-per-task=" << sweep.threads << "\n#SBATCH --signal=B:USR1@"
      << slurm.warning_s << "\n#SBATCH --requeue\n#SBATCH --open-mode=append\n"
      << directive("--output", sweep.folder) << "/logs/slurm-%A_%a.txt\"\n";
  if (!slurm.time.empty()) out << "#SBATCH --time=" << slurm.time << "\n";
  if (!slurm.partition.empty()) out << "#SBATCH --partition=" << slurm.partition << "\n";
  for (const std::string& option : slurm.options) out << "#SBATCH " << option << "\n";
  out << "program=" << quoted(job.program) << "\nsweep=" << quoted(job.sweep_file)
      << "\nnames=" << quoted(job.names_file) << "\nset -uo pipefail\n"
      << kForwardSignals << kBody;
  return out.str();
}

std::string submit_array(const SweepConfig& sweep, const ArmList& list,
                         const std::string& sweep_file, bool submits) {
  check_measures(sweep, list);
  const std::optional<ArrayFiles> files = write_array(sweep, list, sweep_file);
  if (!files) return "nothing is left to do";
  std::string said = message(files->count, " arms to run: ", files->script.string());
  if (submits) said += "\n" + run_sbatch(files->script, files->log);
  return said;
}

}  // namespace longhaul::launch
