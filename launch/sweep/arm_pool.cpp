#include "launch/sweep/arm_pool.h"

#include <sys/wait.h>

#include <algorithm>
#include <cstring>
#include <iostream>
#include <sstream>
#include <thread>

#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"
#include "launch/command.h"
#include "launch/environment/rank_facts.h"
#include "launch/run_data.h"
#include "launch/run_plan.h"
#include "launch/sweep/arm_command.h"
#include "launch/sweep/measure_memory.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::message;

/// The devices this program sees, by the names that CUDA_VISIBLE_DEVICES gives them.
std::vector<std::string> visible_gpus() {
  std::vector<std::string> names;
  const char* given = std::getenv("CUDA_VISIBLE_DEVICES");
  std::istringstream list(given != nullptr ? given : "");
  for (std::string name; std::getline(list, name, ',');) names.push_back(name);
  const auto count = static_cast<size_t>(core::cuda_device_count());
  for (size_t i = names.size(); i < count; ++i) names.push_back(std::to_string(i));
  names.resize(count);
  return names;
}

bool uses_gpus(const SweepConfig& sweep, const ArmList& list) {
  static_cast<void>(sweep);
  return core::cuda_available() &&
         list.recipes.front().arms.front().config.run.device != DeviceChoice::kCpu;
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return message("signal ", WTERMSIG(status));
  return message("exit code ", WEXITSTATUS(status));
}

/// Of how far the target's work is: another one later is progress.
int64_t mark_of(const SweepConfig& sweep, const Target& target) {
  if (target.measure == nullptr) return read_progress(sweep, *target.arm).step;
  std::error_code none;
  const auto kept = fs::last_write_time(
      measure_file(sweep, *target.arm, *target.measure).string() + ".partial", none);
  return none ? 0 : static_cast<int64_t>(kept.time_since_epoch().count());
}

/// "ARM", or "ARM: MEASURE".
std::string name_of(const Target& target) {
  return target.arm->name + (target.measure != nullptr ? ": " + target.measure->name : "");
}

}  // namespace

int64_t arm_memory(const SweepConfig& sweep, const ArmList& list) {
  int64_t most = 0;
  core::Problems problems;
  for (const Recipe& recipe : list.recipes) {
    const Arm& arm = recipe.arms.front();  // the others differ in their seed
    try {
      const RunData data(arm.config);
      model::ModelConfig shape;
      const RunConfig resolved = resolve(arm.config, sweep.ranks, data.vocabulary(), shape);
      const RunPlan plan = plan_run(resolved, shape, sweep.ranks, static_cast<int>(sweep.threads));
      most = std::max(most, sweep.ranks * plan.memory.peak);
      for (const MeasureConfig& measure : sweep.measures) {
        most = std::max(most, measure_memory(sweep, measure, shape, resolved.data.batch.length));
      }
    } catch (const core::InputError& error) {
      for (const auto& problem : error.problems()) {
        problems.push_back(message("arm ", arm.name, ": ", problem));
      }
    }
  }
  if (!problems.empty()) throw core::InputError(problems);
  return most;
}

int64_t arms_at_once(const SweepConfig& sweep, const ArmList& list) {
  const int64_t memory = arm_memory(sweep, list);
  if (sweep.at_once > 0) return sweep.at_once;
  const auto processors = static_cast<int64_t>(std::thread::hardware_concurrency());
  if (uses_gpus(sweep, list)) return std::max<int64_t>(1, core::cuda_device_count() / sweep.ranks);
  int64_t fit = processors / (sweep.ranks * sweep.threads);
  const int64_t available = free_memory();
  if (available > 0 && memory > 0) fit = std::min(fit, available / memory);
  return std::max<int64_t>(1, fit);
}

ArmPool::ArmPool(const SweepConfig& sweep, int64_t at_once) : sweep_(sweep), gpus_(visible_gpus()) {
  for (int64_t slot = 0; slot < at_once; ++slot) free_slots_.insert(slot);
  fs::create_directories(fs::path(sweep.folder) / "logs");
  fs::create_directories(fs::path(sweep.folder) / "arms");
}

bool ArmPool::run(const std::vector<Target>& targets) {
  waiting_.assign(targets.begin(), targets.end());
  while (true) {
    const bool goes_on = signals_ == 0 && problem_.empty();
    while (goes_on && !waiting_.empty() && !free_slots_.empty()) start_next();
    if (running_.empty()) {
      if (!problem_.empty()) throw core::InputError(problem_);
      return signals_ == 0;
    }
    const ChildProcesses::Event event = children_.wait();
    if (event.child == 0) {
      take_signal(event.signal);
    } else {
      take_end(event);
    }
  }
}

void ArmPool::start_next() {
  const Target target = waiting_.front();
  waiting_.pop_front();
  const int64_t slot = *free_slots_.begin();
  ChildCommand command = arm_command(sweep_, target);
  // Each slot has GPUs of its own, one a rank, as far as there are any.
  std::string own;
  for (int64_t gpu = slot * sweep_.ranks; gpu < (slot + 1) * sweep_.ranks; ++gpu) {
    if (gpu >= static_cast<int64_t>(gpus_.size())) break;
    own += (own.empty() ? "" : ",") + gpus_[static_cast<size_t>(gpu)];
  }
  if (!own.empty()) command.environment.emplace_back("CUDA_VISIBLE_DEVICES", own);
  const Arm& arm = *target.arm;
  if (target.measure != nullptr) begin_measure(sweep_, arm, *target.measure);
  const Running entry{.target = target, .slot = slot, .mark = mark_of(sweep_, target)};
  const pid_t child = children_.start(command);
  running_.emplace(child, entry);
  free_slots_.erase(slot);
  std::cout << name_of(target) << ": ";
  if (target.measure != nullptr) {
    std::cout << "measuring" << std::endl;
  } else {
    const int64_t until = target.until > 0 ? target.until : arm.config.schedule.steps;
    std::cout << "from step " << entry.mark << " to " << until << std::endl;
  }
}

void ArmPool::take_signal(int signal) {
  if (signal == SIGHUP && signals_ > 0) return;
  signals_ += 1;
  if (signals_ == 1) {
    std::cout << "interrupted: " << running_.size() << (running_.size() == 1 ? " arm" : " arms")
              << " to save" << std::endl;
    children_.signal_all(SIGUSR1);  // not SIGTERM, on which mpirun kills its ranks
  } else {
    children_.kill_all();
  }
}

void ArmPool::take_end(const ChildProcesses::Event& event) {
  const auto found = running_.find(event.child);
  const Running ended = found->second;
  running_.erase(found);
  free_slots_.insert(ended.slot);
  const Target& target = ended.target;
  if (target.measure != nullptr) end_measure(sweep_, *target.arm);
  const ArmProgress progress = read_progress(sweep_, *target.arm);
  const bool is_saved = WIFEXITED(event.status) && WEXITSTATUS(event.status) == kInterrupted;
  const bool is_ended = WIFEXITED(event.status) && WEXITSTATUS(event.status) == kDone;
  const bool is_at_goal = target.measure != nullptr ? progress.missing != target.measure
                          : target.until > 0        ? progress.step >= target.until
                                                    : progress.is_done;
  if (is_at_goal && (is_ended || is_saved)) {
    take_goal(ended, progress);
  } else if (signals_ > 0) {
    std::cout << name_of(target) << ": stopped, saved";
    if (target.measure == nullptr) std::cout << " at step " << progress.step;
    std::cout << std::endl;
  } else if (is_saved && mark_of(sweep_, target) > ended.mark) {
    waiting_.push_back(target);  // somebody else stopped it
  } else {
    const bool is_refused = WIFEXITED(event.status) && WEXITSTATUS(event.status) == kWrongInput;
    const std::string nothing =
        target.measure != nullptr ? "ended without a result" : "ended without a step";
    count_failure(ended, is_ended || is_saved ? nothing : how_it_ended(event.status), is_refused);
  }
}

void ArmPool::take_goal(const Running& ended, const ArmProgress& progress) {
  const Target& target = ended.target;
  const Arm& arm = *target.arm;
  std::cout << name_of(target) << ": ";
  if (target.measure != nullptr) {
    std::cout << "measured";
  } else {
    std::cout << "at step " << progress.step;
  }
  const bool has_metric = target.measure == metric_measure(sweep_);
  if (const auto value = arm_metric(sweep_, arm, progress.step); value && has_metric) {
    std::cout << ", " << sweep_.metric.title() << " " << *value;
  }
  std::cout << std::endl;
  if (target.until == 0 && progress.missing != nullptr && !progress.has_failed) {
    waiting_.push_front({.arm = &arm, .until = 0, .measure = progress.missing});
  }
  if (problem_.empty()) problem_ = missing_metric(sweep_, arm);
  if (!problem_.empty() && signals_ == 0 && !running_.empty()) take_signal(SIGTERM);
}

void ArmPool::count_failure(const Running& ended, const std::string& failure, bool is_final) {
  const Arm& arm = *ended.target.arm;
  const fs::path file = record_file(sweep_, arm.name);
  ArmRecord record = read_arm_record(file);
  const MeasureConfig* measure = ended.target.measure;
  const std::string work = measure != nullptr ? measure->name : "";
  record.failures = record.failed_measure == work ? record.failures + 1 : 1;
  record.failed_measure = work;
  record.failure =
      (measure != nullptr ? work + ": " : "") + failure + (is_final ? ", wrong input" : "");
  record.is_final = is_final;
  write_arm_record(file, record);
  const bool is_last = is_final || record.failures > sweep_.retries;
  std::cout << arm.name << ": failed (" << record.failure << ")"
            << (is_last ? "" : ", to be tried again") << std::endl;
  if (is_final) {
    for (const std::string& line : last_log_lines(sweep_, arm.name)) {
      std::cout << "  " << line << std::endl;
    }
  }
  if (!is_last) waiting_.push_back(ended.target);
  if (!is_last || measure == nullptr) return;
  give_up_measure(sweep_, arm, *measure);
  const ArmProgress progress = read_progress(sweep_, arm);
  if (progress.has_failed || progress.missing == nullptr) return;
  waiting_.push_front({.arm = &arm, .until = 0, .measure = progress.missing});
}

}  // namespace longhaul::launch
