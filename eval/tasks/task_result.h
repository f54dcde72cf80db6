// How often a model's answers are right, by length and depth.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "eval/identity.h"
#include "eval/named.h"

namespace longhaul::eval {

/// Trials of one kind: all depths of a length (0 to 1), one depth that was asked for (low = high),
/// or a fifth of the depths as they were drawn.
struct TaskCell {
  std::string part;  ///< "qa1"; "" where a task has no parts
  int64_t length = 0;
  double depth_low = 0, depth_high = 1;
  int64_t trials = 0;
  double accuracy = 0;       ///< mean score
  double exact = 0;          ///< share of trials that are all right
  double low = 0, high = 1;  ///< 95 % interval of the accuracy
  /// Of each trial, in order; of all depths alone. Empty: not known (a mean over seeds, files
  /// without them).
  std::vector<double> scores = {};
  bool all_depths() const { return depth_low == 0 && depth_high == 1; }
  double depth() const { return (depth_low + depth_high) / 2; }
};

struct TaskResult {
  std::string task;             ///< one of task_scorings()
  std::string model;            ///< only noted
  int64_t training_length = 0;  ///< of the sequences; 0: not known
  uint64_t seed = 0;
  int64_t trials_asked = 0;     ///< of each kind; 0: not known
  Identity measured;            ///< how, as measured_by says; empty in older files
  std::vector<TaskCell> cells;  ///< by part, length, depth; all depths first
  std::vector<Named<TaskResult>>
      of_seeds;  ///< runs it is the mean of (eval/seeds.h); not in the file
};

/// 95 % interval of a share of trials (Wilson 1927).
struct Interval {
  double low = 0, high = 1;
};
Interval wilson_interval(double share, int64_t trials);

/// The cell of these scores, from 0 to 1. Its interval is Wilson's, or, of graded scores, the mean
/// ± 1.96 standard errors, widened where few scores agree.
TaskCell cell_of(TaskCell cell, std::span<const double> scores, bool graded);

/// Says of each part which has fewer different questions than trials that were asked for. Not of
/// means over seeds.
std::vector<std::string> shortages(const TaskResult& result);

/// As JSON (Protobuf JSON of eval/tasks.proto), written atomically; and back. InputError naming
/// the file and what is wrong. Scores of trials are left out where these are more than
/// kMostSequenceMeans.
void write_task_result(const std::filesystem::path& file, const TaskResult& result);
TaskResult read_task_result(const std::filesystem::path& file);
/// A table for the terminal.
std::string format_table(const TaskResult& result);

}  // namespace longhaul::eval
