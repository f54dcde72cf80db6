#include "launch/sweep/arm_record.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "kernels/core/error.h"
#include "launch/sweep/arm_record.pb.h"
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
  return {.failures = stored.failures(), .failure = stored.failure()};
}

void write_arm_record(const fs::path& file, const ArmRecord& record) {
  proto::ArmRecord stored;
  stored.set_version(kVersion);
  stored.set_failures(record.failures);
  stored.set_failure(record.failure);
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
  progress.has_failed = !progress.is_done && progress.record.failures > sweep.retries;
  return progress;
}

std::optional<double> metric_at(const std::vector<trainer::Record>& records,
                                const MetricConfig& metric, int64_t step) {
  const std::string kind = metric.record == MetricRecord::kTrain ? "train" : "evaluation";
  const size_t wanted =
      metric.record == MetricRecord::kTrain ? static_cast<size_t>(metric.window) : 1;
  double sum = 0;
  size_t count = 0;
  for (auto record = records.rbegin(); record != records.rend() && count < wanted; ++record) {
    if (record->kind != kind || record->step > step) continue;
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
  const fs::path file = fs::path(arm_folder(sweep, arm.name)) / "metrics.jsonl";
  if (!fs::exists(file)) return std::nullopt;
  return metric_at(trainer::read_metrics(file), sweep.metric, step);
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
