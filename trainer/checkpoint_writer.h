// Training checkpoints that are written while training goes on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "dist/mesh.h"
#include "model/checkpoint/folder_replacement.h"
#include "trainer/checkpoint_copy.h"
#include "trainer/config.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::trainer {

/// Every rank copies what it is to write (its share of weights and moments; sequence rank 0
/// its source) and writes the copy from a thread of its own; finish() names all files with
/// sizes and checksums in the manifest, and only then the folder gets its name. One checkpoint at a
/// time. begin() and finish() are collective over the mesh; if any rank fails, all throw the same
/// error, nothing of the new checkpoint is left and the older ones stay.
class CheckpointWriter {
 public:
  /// `newest`: step of the run's newest checkpoint so far.
  CheckpointWriter(std::filesystem::path run_folder, const dist::Mesh& mesh,
                   const CheckpointConfig& config, std::optional<int64_t> newest = {});
  /// Waits for this rank's thread; what was not finished is left out.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Starts to copy and write `state`; finishes the checkpoint before, if there is one. Parameters
  /// and moments must stay as they are until wait_for_copy(): they are copied beside the next
  /// forward and backward.
  void begin(const TrainingState& state);
  /// To be called before parameters or moments change.
  void wait_for_copy() const;
  /// Between begin() and finish(); equal on all ranks.
  bool is_begun() const { return writing_.valid(); }
  /// Whether this rank's files are still being written.
  bool is_busy() const;
  /// Step of the run's newest checkpoint; equal on all ranks.
  std::optional<int64_t> newest() const { return newest_; }
  /// Notes state.evaluation, which was measured later, in the checkpoint of state.step that stands.
  void add_evaluation(const TrainingState& state) const;
  /// Waits for the files, then makes them a checkpoint and removes what need not be kept.
  void finish();

 private:
  CheckpointManifest manifest_of(const TrainingState& state) const;
  void gather_checks(const std::vector<FileCheck>& own);
  void tidy_up();

  std::filesystem::path run_folder_;
  const dist::Mesh& mesh_;
  CheckpointConfig config_;
  CheckpointShare share_;
  CheckpointCopy copy_;
  CheckpointManifest manifest_;
  std::optional<int64_t> newest_;
  std::unique_ptr<model::FolderReplacement> replacement_;  // on rank 0
  std::future<void> removing_;                             // what is not kept, on rank 0
  std::future<void> copied_;
  std::future<std::vector<FileCheck>> writing_;  // goes first: it writes to the folder
};

}  // namespace longhaul::trainer
