// One measurement over all arms: what a section of the report shows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/run_folder.h"

namespace longhaul::eval {

struct Section {
  std::string task;                          ///< "text" or "recall"
  std::string title;                         ///< not escaped
  std::vector<const PositionCurve*> curves;  ///< of each arm; nullptr where it lacks this one
  int64_t training_length = 0;               ///< the shortest known of the arms'; 0: none is known
};

/// One section a task. Where a run holds several evaluations of a task, one for each file name;
/// names that end in "step-N" are one evaluation at several steps, of which the last is shown.
/// Curves point into `runs`.
std::vector<Section> make_sections(const std::vector<RunFolder>& runs);

/// A bucket of the grid that all curves share, with what it is called in tables.
struct LengthColumn {
  int64_t begin = 0, end = 0;
  std::string name;  ///< "4×"; without a training length "8k"
  bool beyond = false;
};
/// The buckets that end at 1×, 2×, 4×, … the training length (the last one before, where the grid
/// has no such edge), then the end of the longest curve.
std::vector<LengthColumn> length_columns(const Section& section);

/// The bucket of exactly these positions, if it holds labels.
const Bucket* find_bucket(const PositionCurve& curve, int64_t begin, int64_t end);

/// "64×", "1.5×": `position` as a multiple of the training length.
std::string multiple_name(int64_t position, int64_t training_length);

}  // namespace longhaul::eval
