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
  CheckpointCopy(core::Context& context, CheckpointShare share);

  /// Copies to host memory, which is kept from one copy to the next.
  void take(const TrainingState& state);
  /// Writes what was taken and returns the files' checks, those of the model last. Uses neither
  /// context nor communicator: for a thread of its own.
  std::vector<FileCheck> write(const std::filesystem::path& folder) const;

 private:
  void take_model(const model::LanguageModel& model);
  void write_model(const std::filesystem::path& folder) const;

  core::Context& context_;
  CheckpointShare share_;
  TensorFile source_, moments_;
  // Of the model, on rank 0:
  HostMemory values_;
  std::vector<model::Parameter> parameters_;
  core::DType dtype_ = core::DType::kF32;
  std::string config_json_;
};

}  // namespace longhaul::trainer
