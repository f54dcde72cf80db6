// One measurement over all arms: what a section of the report shows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "eval/estimate.h"
#include "eval/run_folder.h"

namespace longhaul::eval {

/// What an arm reaches with short context (PositionCurve::window), over the same sequences.
struct Reference {
  size_t arm = 0;
  const PositionCurve* curve = nullptr;
};

struct Section {
  std::string task;                          ///< "text" or "recall"
  std::string title;                         ///< not escaped
  std::vector<const PositionCurve*> curves;  ///< of each arm; nullptr where it lacks this one
  int64_t training_length = 0;               ///< the shortest known of the arms'; 0: none is known
  std::vector<Reference> references;         ///< by arm
  bool of_windows = false;  ///< all curves are of windows, beside no curve that they refer to
};

/// One section a task. Where a run holds several evaluations of a task, one for each file name;
/// names that end in "step-N" are one evaluation at several steps, of which the last is shown.
/// Curves of windows are references of the curve of the same model over the same sequences; those
/// that find none are sections of their own. Curves point into `runs`.
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

/// Less is better: loss, of recall minus the accuracy; infinity where the loss is not finite.
double score(const std::string& task, const Bucket& bucket);
/// The score in the bucket of exactly these positions, if it holds labels.
std::optional<Estimate> score_at(const PositionCurve& curve, int64_t begin, int64_t end);

/// "windows of 64"
std::string windows_name(const PositionCurve& curve);

/// "64×", "1.5×": `position` as a multiple of the training length.
std::string multiple_name(int64_t position, int64_t training_length);

}  // namespace longhaul::eval
