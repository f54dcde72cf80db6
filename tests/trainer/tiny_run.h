// Whole runs of a tiny model, on thread ranks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/batch.h"
#include "dist/mesh.h"
#include "model/language_model.h"
#include "trainer/metrics.h"
#include "trainer/trainer.h"

namespace longhaul::testing {

/// Endless rows of random tokens, drawn from (global row, position in the row's stream) alone: row
/// r of micro-step k is positions [k · length, (k + 1) · length) of stream r. Every fifth label is
/// −1. `fresh_every` > 0: row r of micro-step k is fresh where (k + r) is a multiple of it.
class StreamSource final : public data::BatchSource {
 public:
  StreamSource(int64_t rows, int64_t length, int64_t first_row, int64_t fresh_every = 0)
      : rows_(rows), length_(length), first_row_(first_row), fresh_every_(fresh_every) {}
  data::Batch next() override;
  std::string position() const override { return std::to_string(step_); }
  void restore(const std::string& position) override { step_ = std::stoll(position); }
  int64_t vocabulary() const override;

 private:
  int64_t rows_, length_, first_row_, fresh_every_, step_ = 0;
};

/// How a tiny run is done; the defaults are two sequences of 12 tokens, five steps, in double.
struct TinyRun {
  trainer::TrainerConfig config = tiny_trainer_config();
  dist::MeshShape mesh;
  core::DType dtype = core::DType::kF64;
  core::Device device = {};
  int64_t fresh_every = 0;
  bool resume = false, skip_damaged = false;
  /// 0: data from StreamSource; else the recall task's.
  bool recall = false;
  /// Called with what each data rank reads, one call at a time; may throw as the data would.
  std::function<void(int data_rank, const data::Batch& batch)> on_batch;
  /// Called on every rank before each step, with what it may spoil.
  std::function<void(int rank, int64_t step, model::LanguageModel& model)> before_step;
  int64_t interrupt_at = 0;  ///< the signal arrives at the last rank during this step
  std::function<std::optional<trainer::Numbers>(int64_t)> evaluate;

  static trainer::TrainerConfig tiny_trainer_config();
  /// Trains in `folder` on mesh.data · mesh.sequence threads; all ranks must end alike.
  trainer::Ending train(const std::filesystem::path& folder) const;
};

model::ModelConfig tiny_run_model();

/// One name's numbers over the steps of metrics.jsonl.
std::vector<double> metric(const std::filesystem::path& folder, const std::string& name);

/// metrics.jsonl without the numbers of time.
std::string timeless_metrics(const std::filesystem::path& folder);

/// Every tensor of a safetensors file as doubles.
std::map<std::string, std::vector<double>> tensors_of(const std::filesystem::path& file);

}  // namespace longhaul::testing
