// What a run tells: one line a step on the terminal, metrics.jsonl, TensorBoard events.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace longhaul::trainer {

/// One record: a step and named numbers, in order ("loss", "gradient_norm", "rate",
/// "tokens_per_second", …).
struct Record {
  std::string kind = "train";  ///< train · evaluation · event
  int64_t step = 0;
  int64_t tokens = 0;  ///< seen so far, over all ranks
  std::vector<std::pair<std::string, double>> values;
  std::string text;  ///< of events
};

/// Writes on the rank that constructs it (rank 0). On resume at step n, records of later steps and
/// a torn last line are dropped from metrics.jsonl first, so that a resumed run leaves the same
/// file as an uninterrupted one (numbers of time excepted). Wall-clock values are in records under
/// names ending in "_per_second", "seconds", or "utilisation".
class MetricsWriter {
 public:
  /// `resume_step` < 0: a new run (files are created).
  MetricsWriter(const std::filesystem::path& run_folder, int64_t resume_step);
  ~MetricsWriter();
  void write(const Record& record);
  /// Everything written so far is on disk when this returns.
  void flush();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// metrics.jsonl back, for reports and tests. InputError names file and line.
std::vector<Record> read_metrics(const std::filesystem::path& file);

}  // namespace longhaul::trainer
