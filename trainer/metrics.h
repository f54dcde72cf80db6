// What a run tells: one line a step in metrics.jsonl, and TensorBoard events.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::trainer {

/// One record: a step and named numbers ("loss", "gradient_norm", "rate", "tokens_per_second", …).
/// Names without a field of their own in trainer/metrics.proto come after those that have one.
struct Record {
  std::string kind = "train";  ///< train · evaluation · event · ranks
  int64_t step = 0;            ///< optimizer steps done
  int64_t tokens = 0;          ///< seen so far, over all ranks
  std::vector<std::pair<std::string, double>> values;
  std::string text;  ///< of events; of ranks: those that are slow now
};

/// Writes on the rank that constructs it (rank 0): RUN/metrics.jsonl, a line of Protobuf JSON
/// (trainer/metrics.proto) for each record, every number exact; and RUN/events.out.tfevents.…. On
/// resume at step n, records of later steps, readable or not, and a torn last line are dropped from
/// metrics.jsonl first, so that a resumed run leaves the same file as an uninterrupted one (numbers
/// of time excepted). Wall-clock values are in records under names ending in "_per_second",
/// "seconds", or "utilisation". A disk that fails is no failure of the run: what cannot be written
/// is kept and tried again with every record, and a warning is left.
class MetricsWriter {
 public:
  /// `resume_step` < 0: a new run. A metrics.jsonl that holds something is renamed, with a warning.
  MetricsWriter(const std::filesystem::path& run_folder, int64_t resume_step);
  ~MetricsWriter();
  void write(const Record& record);
  /// Everything written so far is on disk when this returns, or a warning has been left.
  void flush();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// metrics.jsonl back, for reports and tests; a last line without its end is left out (a run may be
/// writing it). InputError names file and line. `unreadable_end`, where given, receives that
/// message in place of a throw if no record follows the damage: a power loss can leave such an end.
std::vector<Record> read_metrics(const std::filesystem::path& file,
                                 std::string* unreadable_end = nullptr);

}  // namespace longhaul::trainer
