#include "launch/sweep/arm_command.h"

#include <unistd.h>

#include <filesystem>

#include "kernels/core/error.h"

namespace longhaul::launch {

extern const char kForwardSignals[];  // launch/forward_signals.sh, put here by CMake
extern const char kMpirunNotices[];   // launch/mpirun_notices.sh

namespace {

namespace fs = std::filesystem;

void append(std::vector<std::string>& words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
}

/// mpirun as launch/mpirun.sh has it: SIGUSR1 is passed on, and of its notices pass those that say
/// something. SIGTERM comes where the sweep has died.
constexpr const char* kMpirun = R"(
trap 'pass_on TERM' TERM
exec 9> >(filter_notices >&2)
notices=$!
run_job mpirun "$@" 2>&9 9>&-
exec 9>&-
await_filter "$notices"
exit "$code"
)";

/// What goes before the program.
void add_launcher(const SweepConfig& sweep, ChildCommand& command) {
  if (sweep.ranks == 1) return;
  command.words = {"bash",
                   "-c",
                   std::string(kForwardSignals) + kMpirunNotices + kMpirun,
                   "mpirun.sh",
                   "--bind-to",
                   "none",
                   "--oversubscribe",
                   "-n",
                   std::to_string(sweep.ranks)};
  // As launch/mpirun.sh.
  command.environment.emplace_back("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
  if (::geteuid() == 0) {
    command.environment.emplace_back("OMPI_ALLOW_RUN_AS_ROOT", "1");
    command.environment.emplace_back("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
  }
}

std::vector<std::string> train_words(const SweepConfig& sweep, const Target& target) {
  std::vector<std::string> words{"train", sweep.base};
  append(words, target.arm->overrides);
  words.emplace_back("--resume");
  if (target.until > 0) append(words, {"--until", std::to_string(target.until)});
  return words;
}

std::vector<std::string> eval_words(const SweepConfig& sweep, const Target& target) {
  const MeasureConfig& measure = *target.measure;
  const fs::path model = fs::path(arm_folder(sweep, target.arm->name)) / "model";
  std::vector<std::string> words{"eval", measure.kind};
  append(words, measure.words);
  if (!measure.has("device")) {
    const auto device = target.arm->config.run.device;
    words.push_back(core::message("--device=", enum_names(device)[static_cast<size_t>(device)]));
  }
  append(words, {"--threads=" + std::to_string(sweep.threads), "--model=" + model.string(),
                 "--json=" + measure_file(sweep, *target.arm, measure).string()});
  return words;
}

}  // namespace

ChildCommand arm_command(const SweepConfig& sweep, const Target& target) {
  ChildCommand command;
  add_launcher(sweep, command);
  command.words.push_back(fs::read_symlink("/proc/self/exe").string());
  append(command.words,
         target.measure != nullptr ? eval_words(sweep, target) : train_words(sweep, target));
  command.log = log_file(sweep, target.arm->name);
  return command;
}

}  // namespace longhaul::launch
