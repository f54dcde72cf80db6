#include "launch/run_status.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <system_error>

#include "kernels/core/error.h"
#include "launch/file_lock.h"
#include "launch/run_config.h"
#include "launch/run_folder.h"
#include "launch/run_lock.h"
#include "launch/text_table.h"
#include "trainer/metrics.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::message;
using trainer::Record;

constexpr size_t kRecentSteps = 20;     // that speed is measured over
constexpr size_t kShownEvents = 3;      // newest ones
constexpr double kQuietAtLeast_s = 60;  // without a record before a running job is called quiet …
constexpr double kQuietSteps = 10;      // … and so many times a step's time

std::optional<double> value_of(const Record& record, std::string_view name) {
  for (const auto& [key, value] : record.values) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::vector<const Record*> training_records(const std::vector<Record>& records) {
  std::vector<const Record*> steps;
  for (const Record& record : records) {
    if (record.kind == "train") steps.push_back(&record);
  }
  return steps;
}

/// Over the newest steps: Σ tokens / Σ seconds, and seconds a step.
struct Speed {
  double tokens_per_second = 0, seconds_per_step = 0;
};
std::optional<Speed> recent_speed(const std::vector<const Record*>& steps, int64_t step_tokens) {
  double seconds = 0, count = 0;
  const size_t begin = steps.size() - std::min(steps.size(), kRecentSteps);
  for (size_t i = begin; i < steps.size(); ++i) {
    const double speed = value_of(*steps[i], "tokens_per_second").value_or(0);
    if (!std::isfinite(speed) || speed <= 0) continue;
    seconds += static_cast<double>(step_tokens) / speed;
    count += 1;
  }
  if (count == 0) return std::nullopt;
  return Speed{.tokens_per_second = count * static_cast<double>(step_tokens) / seconds,
               .seconds_per_step = seconds / count};
}

/// Seconds since the file was written to.
double age_of(const fs::path& file) {
  std::error_code error;
  const auto written = fs::last_write_time(file, error);
  if (error) return 0;
  return std::chrono::duration<double>(fs::file_time_type::clock::now() - written).count();
}

void warn_of_steps(const std::vector<Record>& records, RunStatus& status) {
  const auto skipped = std::count_if(records.begin(), records.end(), [](const Record& record) {
    return record.kind == "train" && value_of(record, "skipped").value_or(0) > 0;
  });
  if (skipped > 0) {
    status.warnings.push_back(
        message(skipped, skipped == 1 ? " step was" : " steps were", " skipped (not finite)"));
  }
  if (status.loss && !std::isfinite(*status.loss)) {
    status.warnings.push_back(message("the loss of step ", status.step, " is ", *status.loss));
  }
  std::vector<const Record*> events;
  for (const Record& record : records) {
    if (record.kind == "event") events.push_back(&record);
  }
  const auto times = std::find_if(records.rbegin(), records.rend(),
                                  [](const Record& record) { return record.kind == "ranks"; });
  if (times != records.rend() && !times->text.empty()) status.warnings.push_back(times->text);
  const size_t begin = events.size() - std::min(events.size(), kShownEvents);
  for (size_t i = begin; i < events.size(); ++i) status.warnings.push_back(events[i]->text);
}

void warn_of_state(const fs::path& metrics, const std::optional<Speed>& speed, RunStatus& status) {
  if (status.state == RunState::kRunning && speed) {
    const double age = age_of(metrics);
    if (age > std::max(kQuietAtLeast_s, kQuietSteps * speed->seconds_per_step)) {
      status.warnings.push_back(message("runs, but recorded no step for ", duration_text(age)));
    }
  }
  if (status.state != RunState::kStopped) return;
  if (!status.checkpoint) {
    status.warnings.push_back("stopped before its first checkpoint");
  } else if (*status.checkpoint < status.step) {
    status.warnings.push_back(message("stopped; ", status.step - *status.checkpoint,
                                      " steps since the last checkpoint are lost"));
  }
}

RunState state_of(const fs::path& folder, const RunStatus& status, bool running) {
  if (running) return RunState::kRunning;
  const bool has_model = fs::exists(folder / "model" / "config.json");
  if (has_model && status.checkpoint == status.steps) return RunState::kDone;
  return status.step == 0 && !status.checkpoint ? RunState::kWaiting : RunState::kStopped;
}

}  // namespace

std::string_view name_of(RunState state) {
  switch (state) {
    case RunState::kWaiting:
      return "waiting";
    case RunState::kRunning:
      return "running";
    case RunState::kStopped:
      return "stopped";
    case RunState::kDone:
      return "done";
  }
  return "";
}

RunStatus read_run_status(const fs::path& folder) {
  const fs::path file = folder / kRunConfigFile, metrics = folder / "metrics.jsonl";
  if (!fs::exists(file)) {
    throw core::InputError(
        message(folder.string(), ": holds no ", kRunConfigFile, ", expected a run folder"));
  }
  const RunConfig config = read_run_config(file.string());
  RunStatus status{.name = folder.string(), .steps = config.schedule.steps};
  // The lock first: a run that ends meanwhile must not be taken for one that was stopped.
  const bool running = is_locked(folder / kRunLockFile).value_or(false);
  std::vector<Record> records;
  std::string unreadable_end;
  if (fs::exists(metrics)) records = trainer::read_metrics(metrics, &unreadable_end);
  const auto steps = training_records(records);
  if (!steps.empty()) {
    status.step = steps.back()->step;
    status.loss = value_of(*steps.back(), "loss");
  }
  const auto evaluation = std::find_if(records.rbegin(), records.rend(), [](const Record& record) {
    return record.kind == "evaluation";
  });
  if (evaluation != records.rend()) status.evaluated = value_of(*evaluation, "loss_at_end");
  status.checkpoint = trainer::newest_checkpoint(folder);
  status.state = state_of(folder, status, running);
  const auto speed = recent_speed(steps, config.data.batch.sequences * config.data.batch.length);
  if (speed) {
    status.tokens_per_second = speed->tokens_per_second;
    if (status.state != RunState::kDone) {
      status.seconds_left =
          static_cast<double>(status.steps - status.step) * speed->seconds_per_step;
    }
  }
  warn_of_steps(records, status);
  warn_of_state(metrics, speed, status);
  if (!unreadable_end.empty()) {
    status.warnings.push_back(unreadable_end + "; what follows cannot be read either");
  }
  return status;
}

std::string status_table(const std::vector<RunStatus>& runs) {
  const auto number = [](const char* format, const std::optional<double>& value) {
    std::array<char, 400> text{};  // %f of the largest double has 309 digits
    if (!value) return std::string("-");
    std::snprintf(text.data(), text.size(), format, *value);
    return std::string(text.data());
  };
  TextTable table(
      {"run", "state", "step", "loss", "at end", "tokens/s", "left", "checkpoint", "warnings"});
  for (const RunStatus& run : runs) {
    table.add({run.name, std::string(name_of(run.state)), message(run.step, "/", run.steps),
               number("%.4f", run.loss), number("%.4f", run.evaluated),
               number("%.0f", run.tokens_per_second),
               run.seconds_left ? duration_text(*run.seconds_left) : "-",
               run.checkpoint ? message("step ", *run.checkpoint) : "none",
               run.warnings.empty() ? "-" : message(run.warnings.size())});
  }
  std::string text = table.text();
  for (const RunStatus& run : runs) {
    for (const std::string& warning : run.warnings) text += run.name + ": " + warning + "\n";
  }
  return text;
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::clamp(seconds, 0.0, 1e12) + 0.5);
  constexpr int64_t kDay = 86400;
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%d:%02d:%02d", static_cast<int>(whole % kDay / 3600),
                static_cast<int>(whole / 60 % 60), static_cast<int>(whole % 60));
  return (whole >= kDay ? message(whole / kDay, "d ") : "") + text.data();
}

}  // namespace longhaul::launch
