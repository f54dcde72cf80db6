// How far the arms of a sweep are, from their folders.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "launch/sweep/arms.h"
#include "trainer/metrics.h"

namespace longhaul::launch {

/// Of what evaluation/NAME.json, and what is kept of it on the way, are.
struct Measured {
  std::string name;
  std::vector<std::string> words;  ///< as of the command line, the kind first
  int64_t step = 0;                ///< of the model
  int64_t ranks = 0;
};

/// A measure that failed for good, or so often that it is not tried again: the others go on.
struct GivenUp {
  std::string name;
  std::string failure;  ///< in words
};

/// SWEEP/records/ARM.json: what the run folder does not say.
struct ArmRecord {
  int64_t failures = 0;        ///< of training, or of the measure that failed last
  std::string failure;         ///< how the last of them ended, in words
  bool is_final = false;       ///< wrong input: tried again it would end the same way
  std::string failed_measure;  ///< "": training
  std::string measuring;       ///< that was started and has not ended
  std::vector<Measured> measured;
  std::vector<GivenUp> given_up;
};
/// An arm without a file has never failed. InputError naming the file if it is not understood.
ArmRecord read_arm_record(const std::filesystem::path& file);
void write_arm_record(const std::filesystem::path& file, const ArmRecord& record);

std::filesystem::path record_file(const SweepConfig& sweep, const std::string& arm);
std::filesystem::path log_file(const SweepConfig& sweep, const std::string& arm);

struct ArmProgress {
  int64_t step = 0;                        ///< of the newest checkpoint
  bool is_done = false;                    ///< trained to the end
  size_t measured = 0;                     ///< measures that are there
  const MeasureConfig* missing = nullptr;  ///< the first measure that is not, once it is trained;
                                           ///< those that failed for good come last
  bool has_failed = false;  ///< for good, or so often that it is not tried again; nothing is left
  std::vector<std::string> failed_measures;  ///< names of those that are not tried again
  ArmRecord record;

  /// Without this, whatever it was compared by stands: only measures failed.
  bool has_failed_training() const { return has_failed && !is_done; }
  bool is_complete() const { return is_done && missing == nullptr; }
};
ArmProgress read_progress(const SweepConfig& sweep, const Arm& arm);

/// Where a measure's result of an arm is.
std::filesystem::path measure_file(const SweepConfig& sweep, const Arm& arm,
                                   const MeasureConfig& measure);
/// Notes that the measure begins. What is there of it with other options, or of a model that was
/// trained on since, goes.
void begin_measure(const SweepConfig& sweep, const Arm& arm, const MeasureConfig& measure);
/// What is tried no more from now on: nothing is left of its failures to count against the others.
void give_up_measure(const SweepConfig& sweep, const Arm& arm, const MeasureConfig& measure);
void end_measure(const SweepConfig& sweep, const Arm& arm);

/// The metric at `step`, out of the records up to it: train, the mean over the last `window`;
/// evaluation, the last one's. Nothing where there is none or it is not finite.
std::optional<double> metric_at(const std::vector<trainer::Record>& records,
                                const MetricConfig& metric, int64_t step);
/// Of an arm's metrics.jsonl; of a measure, whatever the step, once it is there.
std::optional<double> arm_metric(const SweepConfig& sweep, const Arm& arm, int64_t step);

/// In words, if there are records of the metric's kind but none of them has it (on a GPU there is
/// no utilisation); "" otherwise.
std::string missing_metric(const std::vector<trainer::Record>& records, const MetricConfig& metric);
/// Of an arm's metrics.jsonl, naming the arm.
std::string missing_metric(const SweepConfig& sweep, const Arm& arm);

/// The last lines of an arm's log, printable; empty if there is none.
std::vector<std::string> last_log_lines(const SweepConfig& sweep, const std::string& arm);

}  // namespace longhaul::launch
