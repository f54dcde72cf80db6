// The loop that all measures share: units (sequences, trials) dealt to the data ranks, run batch by
// batch, their numbers brought together on every rank, kept on disk as they come, and taken up
// again.
//
// A measure says what one unit's numbers are and how a batch of units is run; what it reports is a
// function of all units' numbers. So a resumed evaluation equals an uninterrupted one bit for bit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dist/mesh.h"
#include "eval/partial_results.h"

namespace longhaul::eval {

/// How an evaluation is watched, cut short and taken up again. By default it is none of these.
struct Continuation {
  /// Of the units done so far; "": they are not kept. Who has the result safe removes it.
  std::filesystem::path file;
  Identity identity;  ///< of model, program and device; the measure adds data and its own options
  Identity notes;     ///< for the result alone: names of data
  std::function<bool()> interrupted;           ///< asked between pieces; any rank's yes counts
  std::function<void(double share)> progress;  ///< 0 to 1, on rank 0
  std::function<void(const std::string& text)> notice;  ///< a word to the reader, on rank 0
};

/// How the result was measured, as its file says it: the identity and the notes.
Identity measured_by(const Continuation& continuation);

/// Thrown on every rank alike: the units that were done are kept.
struct Interrupted {};

/// Thrown on every rank of a sequence group alike, by read_together.
struct ReadFailure {
  std::string what;       ///< names the data; "" where another rank of the group knows
  bool is_input = false;  ///< else it failed while running
};

/// Collective over the sequence group, before anything that its ranks do together: `read` on every
/// rank. ReadFailure where it throws a core::Error on one of them.
void read_together(dist::Communicator& group, const std::function<void()>& read);

/// What a measure tells while it runs a batch.
class BatchWatch {
 public:
  virtual ~BatchWatch() = default;
  /// Collective over the sequence group, between pieces: `share` of the batch is done. Throws
  /// Interrupted if a rank of the group was asked to stop.
  virtual void advance(double share) = 0;
};

struct UnitJob {
  int64_t units = 0;
  int64_t width = 0;  ///< numbers of a unit
  int64_t batch = 1;  ///< units run side by side on a data rank
  /// Collective over the sequence group: adds to numbers [count, width] (zeros) what this rank sees
  /// of units [first, first + count). The sum over the group's ranks is the units' numbers. Data is
  /// read by read_together: what other data ranks have done is kept where it fails.
  std::function<void(int64_t first, int64_t count, std::span<double> numbers, BatchWatch& watch)>
      run;
};

/// Collective over the mesh: the numbers of all units [units, width], the same on every rank.
/// Throws InputError for a file that is not of this evaluation, on every rank. One that another
/// version of the program began is begun anew. Where data cannot be read: InputError or Error on
/// every rank, naming it, once the units that were done are kept.
std::vector<double> run_units(const dist::Mesh& mesh, const UnitJob& job,
                              const Continuation& continuation);

}  // namespace longhaul::eval
