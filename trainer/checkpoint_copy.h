// What one rank writes of a training checkpoint, copied so that training can go on meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/language_model.h"
#include "trainer/checkpoint_files.h"
#include "trainer/tensor_file.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::trainer {

/// Which files are a rank's. Moments are written by all ranks, each its share.
struct CheckpointShare {
  int rank = 0, ranks = 1;
  int source = -1;  ///< number of the source's file; −1: another rank writes it
  bool has_model() const { return rank == 0; }
};

class CheckpointCopy {
 public:
  explicit CheckpointCopy(CheckpointShare share) : share_(share) {}

  /// Copies to host memory, which is kept from one copy to the next: what the next forward changes.
  /// `state` outlives the next call.
  void take_source(const TrainingState& state);
  /// Copies what the next update changes: parameters and moments. On the CPU for any thread.
  void take_parameters();
  /// Writes what was taken and returns the files' checks, those of the model last. Uses neither
  /// context nor communicator: for a thread of its own.
  std::vector<FileCheck> write(const std::filesystem::path& folder) const;

 private:
  void write_model(const std::filesystem::path& folder) const;

  CheckpointShare share_;
  const model::LanguageModel* model_ = nullptr;  // of the state that is taken
  const Optimizer* optimizer_ = nullptr;
  TensorFile source_, moments_;
  // Of the model, on rank 0:
  HostMemory values_;
  std::vector<model::Parameter> parameters_;
  core::DType dtype_ = core::DType::kF32;
  std::string config_json_;
};

}  // namespace longhaul::trainer
