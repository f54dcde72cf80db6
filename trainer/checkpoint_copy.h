// What one rank writes of a training checkpoint, copied so that training can go on meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/core/device_reader.h"
#include "model/checkpoint/weight_files.h"
#include "model/config.h"
#include "model/language_model.h"
#include "trainer/checkpoint_files.h"
#include "trainer/tensor_file.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::trainer {

/// Which files are a rank's. Moments are written by all ranks, each its share; weights by as many
/// as there are files of `shard_bytes` (checkpoint.shard_mib).
struct CheckpointShare {
  int rank = 0, ranks = 1;
  int source = -1;  ///< number of the source's file; −1: another rank writes it
  int64_t shard_bytes = int64_t{64} << 20;
};

/// Files of `parameters` of one dtype, written by several ranks: of at least `shard_bytes` each
/// (but for the last, and for what tensors that are not split leave open), and as many as there are
/// ranks at the most, unless they would exceed what readers take.
std::vector<model::WeightFile> shared_weight_files(const std::vector<model::TensorStream>& tensors,
                                                   int64_t shard_bytes, int ranks);
/// Who writes file `i` of `files`: spread over the ranks, and so over their nodes.
int writer_of(size_t i, size_t files, int ranks);

class CheckpointCopy {
 public:
  explicit CheckpointCopy(CheckpointShare share) : share_(share) {}

  /// Copies to host memory, which is kept from one copy to the next: what the next forward changes.
  /// `state` outlives the next call.
  void take_source(const TrainingState& state);
  /// Copies what the next update changes: parameters and moments. For any thread.
  void take_parameters();
  /// Writes what was taken and returns the files' checks. Uses neither context nor communicator:
  /// for a thread of its own.
  std::vector<FileCheck> write(const std::filesystem::path& folder) const;
  /// The names of all files of weights, whoever writes them. Known from take_source() on.
  const std::vector<model::WeightFile>& weights() const { return files_; }

 private:
  bool is_own(size_t file) const {
    return writer_of(file, files_.size(), share_.ranks) == share_.rank;
  }
  void plan_weights();
  void write_weights(const std::filesystem::path& folder, std::vector<FileCheck>& checks) const;

  CheckpointShare share_;
  const model::LanguageModel* model_ = nullptr;  // of the state that is taken
  const Optimizer* optimizer_ = nullptr;
  std::optional<core::DeviceReader> reader_;
  TensorFile source_, moments_;
  // Of the model: all its tensors, without elements but for those that this rank writes.
  std::vector<model::TensorStream> tensors_;
  std::vector<model::WeightFile> files_;
  std::vector<HostMemory> values_;  // of this rank's tensors, one after the other
  std::string config_json_;         // on rank 0
};

}  // namespace longhaul::trainer
