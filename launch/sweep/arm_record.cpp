#include "launch/sweep/arm_record.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "kernels/core/error.h"
#include "launch/sweep/arm_record.pb.h"
#include "launch/sweep/measure_number.h"
#include "launch/yaml_reader.h"
#include "model/checkpoint/atomic_file.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::message;

constexpr int kVersion = 1;
constexpr std::uintmax_t kMostRecordBytes = 1 << 16;
constexpr std::streamoff kLogTailBytes = 4096;
constexpr size_t kLogLines = 5;

const std::string& kind_of(const MetricConfig& metric) {
  static const std::string train = "train", evaluation = "evaluation";
  return metric.record == MetricRecord::kTrain ? train : evaluation;
}

std::vector<trainer::Record> records_of(const SweepConfig& sweep, const Arm& arm) {
  const fs::path file = fs::path(arm_folder(sweep, arm.name)) / "metrics.jsonl";
  return fs::exists(file) ? trainer::read_metrics(file) : std::vector<trainer::Record>{};
}

Measured as_wanted(const SweepConfig& sweep, const Arm& arm, const MeasureConfig& measure) {
  Measured wanted{.name = measure.name,
                  .words = {measure.kind},
                  .step = arm.config.schedule.steps,
                  .ranks = sweep.ranks};
  wanted.words.insert(wanted.words.end(), measure.words.begin(), measure.words.end());
  return wanted;
}

/// nullptr where it was never started by the sweep.
const Measured* find_measured(const ArmRecord& record, const std::string& name) {
  const auto found = std::find_if(record.measured.begin(), record.measured.end(),
                                  [&](const Measured& one) { return one.name == name; });
  return found != record.measured.end() ? &*found : nullptr;
}

/// On any number of ranks a result is the same.
bool is_same_result(const Measured& a, const Measured& b) {
  return a.words == b.words && a.step == b.step;
}

/// A file that the sweep did not write is taken as it is.
bool is_measured(const SweepConfig& sweep, const Arm& arm, const MeasureConfig& measure,
                 const ArmRecord& record) {
  if (!fs::exists(measure_file(sweep, arm, measure))) return false;
  const Measured* known = find_measured(record, measure.name);
  return known == nullptr || is_same_result(*known, as_wanted(sweep, arm, measure));
}

/// With other options, or trained on, it is another measure.
bool is_given_up(const SweepConfig& sweep, const Arm& arm, const MeasureConfig& measure,
                 const ArmRecord& record) {
  const bool is_named = std::any_of(record.given_up.begin(), record.given_up.end(),
                                    [&](const GivenUp& one) { return one.name == measure.name; });
  const bool was_last = record.is_final || record.failures > sweep.retries;
  if (!is_named) return was_last && record.failed_measure == measure.name;  // an older record
  const Measured* known = find_measured(record, measure.name);
  return known != nullptr && is_same_result(*known, as_wanted(sweep, arm, measure));
}

}  // namespace

fs::path record_file(const SweepConfig& sweep, const std::string& arm) {
  return fs::path(sweep.folder) / "records" / (arm + ".json");
}
fs::path log_file(const SweepConfig& sweep, const std::string& arm) {
  return fs::path(sweep.folder) / "logs" / (arm + ".log");
}

ArmRecord read_arm_record(const fs::path& file) {
  if (!fs::exists(file)) return {};
  std::string text;
  if (fs::file_size(file) <= kMostRecordBytes) {
    std::ostringstream all;
    all << std::ifstream(file, std::ios::binary).rdbuf();
    text = all.str();
  }
  proto::ArmRecord stored;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto status = google::protobuf::util::JsonStringToMessage(text, &stored, options);
  if (!status.ok() || stored.version() != kVersion || stored.failures() < 0) {
    throw core::InputError(
        message(file.string(), ": is not the record of an arm (version ", kVersion, ")"));
  }
  ArmRecord record{.failures = stored.failures(),
                   .failure = stored.failure(),
                   .is_final = stored.is_final(),
                   .failed_measure = stored.failed_measure(),
                   .measuring = stored.measuring(),
                   .measured = {},
                   .given_up = {}};
  for (const proto::Measured& one : stored.measured()) {
    record.measured.push_back({.name = one.name(),
                               .words = {one.words().begin(), one.words().end()},
                               .step = one.step(),
                               .ranks = one.ranks()});
  }
  for (const proto::GivenUp& one : stored.given_up()) {
    record.given_up.push_back({.name = one.name(), .failure = one.failure()});
  }
  return record;
}

void write_arm_record(const fs::path& file, const ArmRecord& record) {
  proto::ArmRecord stored;
  stored.set_version(kVersion);
  stored.set_failures(record.failures);
  stored.set_failure(record.failure);
  stored.set_is_final(record.is_final);
  stored.set_failed_measure(record.failed_measure);
  stored.set_measuring(record.measuring);
  for (const Measured& one : record.measured) {
    proto::Measured& to = *stored.add_measured();
    to.set_name(one.name);
    to.mutable_words()->Add(one.words.begin(), one.words.end());
    to.set_step(one.step);
    to.set_ranks(one.ranks);
  }
  for (const GivenUp& one : record.given_up) {
    proto::GivenUp& to = *stored.add_given_up();
    to.set_name(one.name);
    to.set_failure(one.failure);
  }
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(stored, &text);
  if (!status.ok()) throw core::Error(file.string() + ": cannot be written as JSON");
  fs::create_directories(file.parent_path());
  model::write_file_atomically(file, text + "\n");
}

ArmProgress read_progress(const SweepConfig& sweep, const Arm& arm) {
  const fs::path folder = arm_folder(sweep, arm.name);
  ArmProgress progress;
  progress.step = trainer::newest_checkpoint(folder).value_or(0);
  progress.is_done =
      progress.step >= arm.config.schedule.steps && fs::exists(folder / "model" / "config.json");
  progress.record = read_arm_record(record_file(sweep, arm.name));
  const ArmRecord& record = progress.record;
  const MeasureConfig* given_up = nullptr;
  for (const MeasureConfig& measure : sweep.measures) {
    if (!progress.is_done) break;
    if (is_measured(sweep, arm, measure, record)) {
      ++progress.measured;
    } else if (is_given_up(sweep, arm, measure, record)) {
      if (given_up == nullptr) given_up = &measure;
      progress.failed_measures.push_back(measure.name);
    } else if (progress.missing == nullptr) {
      progress.missing = &measure;
    }
  }
  if (progress.missing == nullptr && given_up != nullptr) {
    progress.missing = given_up;
    progress.has_failed = true;
    return progress;
  }
  const bool is_last = record.is_final || record.failures > sweep.retries;
  progress.has_failed = !progress.is_done && is_last && record.failed_measure.empty();
  return progress;
}

fs::path measure_file(const SweepConfig& sweep, const Arm& arm, const MeasureConfig& measure) {
  return fs::path(arm_folder(sweep, arm.name)) / "evaluation" / (measure.name + ".json");
}

void begin_measure(const SweepConfig& sweep, const Arm& arm, const MeasureConfig& measure) {
  const fs::path file = record_file(sweep, arm.name), result = measure_file(sweep, arm, measure);
  const Measured wanted = as_wanted(sweep, arm, measure);
  ArmRecord record = read_arm_record(file);
  const Measured* known = find_measured(record, measure.name);
  const bool is_same = known != nullptr && is_same_result(*known, wanted);
  if (known != nullptr && !is_same) fs::remove(result);
  if (known != nullptr && (!is_same || known->ranks != wanted.ranks)) {
    fs::remove(result.string() + ".partial");
  }
  std::erase_if(record.measured, [&](const Measured& one) { return one.name == measure.name; });
  record.measured.push_back(wanted);
  std::erase_if(record.given_up, [&](const GivenUp& one) { return one.name == measure.name; });
  record.measuring = measure.name;
  write_arm_record(file, record);
}

void give_up_measure(const SweepConfig& sweep, const Arm& arm, const MeasureConfig& measure) {
  const fs::path file = record_file(sweep, arm.name);
  ArmRecord record = read_arm_record(file);
  std::erase_if(record.given_up, [&](const GivenUp& one) { return one.name == measure.name; });
  record.given_up.push_back({.name = measure.name, .failure = record.failure});
  write_arm_record(file, record);
}

void end_measure(const SweepConfig& sweep, const Arm& arm) {
  const fs::path file = record_file(sweep, arm.name);
  ArmRecord record = read_arm_record(file);
  record.measuring.clear();
  write_arm_record(file, record);
}

std::optional<double> metric_at(const std::vector<trainer::Record>& records,
                                const MetricConfig& metric, int64_t step) {
  const size_t wanted =
      metric.record == MetricRecord::kTrain ? static_cast<size_t>(metric.window) : 1;
  double sum = 0;
  size_t count = 0;
  for (auto record = records.rbegin(); record != records.rend() && count < wanted; ++record) {
    if (record->kind != kind_of(metric) || record->step > step) continue;
    const auto found = std::find_if(record->values.begin(), record->values.end(),
                                    [&](const auto& value) { return value.first == metric.name; });
    if (found == record->values.end()) continue;
    sum += found->second;
    ++count;
  }
  const double mean = sum / static_cast<double>(count);
  return count > 0 && std::isfinite(mean) ? std::optional(mean) : std::nullopt;
}

std::optional<double> arm_metric(const SweepConfig& sweep, const Arm& arm, int64_t step) {
  const MeasureConfig* measure = metric_measure(sweep);
  if (measure == nullptr) return metric_at(records_of(sweep, arm), sweep.metric, step);
  const ArmRecord record = read_arm_record(record_file(sweep, arm.name));
  if (!is_measured(sweep, arm, *measure, record)) return std::nullopt;
  return read_number(measure_file(sweep, arm, *measure), *measure,
                     {.name = sweep.metric.name, .at = sweep.metric.at});
}

std::string missing_metric(const std::vector<trainer::Record>& records,
                           const MetricConfig& metric) {
  std::set<std::string> names;
  for (const trainer::Record& record : records) {
    if (record.kind != kind_of(metric)) continue;
    for (const auto& [name, value] : record.values) names.insert(name);
  }
  if (names.empty() || names.contains(metric.name)) return "";
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  const std::string near = close_match(metric.name, {names.begin(), names.end()});
  return message("metric.name: found '", metric.name, "', which no ", kind_of(metric),
                 " record has, ", near.empty() ? "" : "did you mean " + near + "? ",
                 "expected one of ", all);
}

std::string missing_metric(const SweepConfig& sweep, const Arm& arm) {
  if (metric_measure(sweep) != nullptr) return "";  // checked when the sweep was read
  const std::string problem = missing_metric(records_of(sweep, arm), sweep.metric);
  return problem.empty() ? "" : message("arm ", arm.name, ": ", problem);
}

std::vector<std::string> last_log_lines(const SweepConfig& sweep, const std::string& arm) {
  std::ifstream file(log_file(sweep, arm), std::ios::binary | std::ios::ate);
  if (!file) return {};
  const std::streamoff size = file.tellg();
  file.seekg(std::max<std::streamoff>(0, size - kLogTailBytes));
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    for (char& c : line) {
      if (static_cast<unsigned char>(c) < ' ') c = ' ';
    }
    if (line.find_first_not_of(' ') != std::string::npos) lines.push_back(line);
  }
  const size_t count = std::min(lines.size(), kLogLines);
  return {lines.end() - static_cast<std::ptrdiff_t>(count), lines.end()};
}

}  // namespace longhaul::launch
