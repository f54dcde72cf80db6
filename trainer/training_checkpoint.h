// Training checkpoints: RUN/checkpoints/step-N/. A folder is written beside, fsynced, then renamed:
// it is there whole or not at all. It is also a model folder (config.json, model.safetensors), so
// that every command reads it. Beside the model: optimizer.safetensors (moments),
// sources-D.safetensors for each data rank D (initial-state source), manifest.json (Protobuf JSON
// of trainer/training_checkpoint.proto: format version, step, tokens, position of the data, mesh,
// configuration hash, checksums).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "data/batch.h"
#include "dist/mesh.h"
#include "model/language_model.h"
#include "trainer/initial_state.h"
#include "trainer/optimizer.h"

namespace longhaul::trainer {

/// What a run consists of between two steps.
struct TrainingState {
  model::LanguageModel& model;
  Optimizer& optimizer;
  InitialStateSource& source;
  data::BatchSource& batches;
  int64_t step = 0;  ///< optimizer steps tried so far (skipped ones included)
  int64_t micro_step = 0;
  int64_t tokens = 0;  ///< over all ranks
  int64_t skipped_in_row = 0;
  int64_t skipped = 0;
  uint64_t configuration_hash = 0;  ///< 0: not known
};

/// Collective over the mesh: every data rank (sequence rank 0) writes its source, every rank its
/// shard of the moments, rank 0 the rest, then renames. Keeps the newest `keep`. If any rank fails,
/// all throw the same error, nothing of the new checkpoint is left and the older ones stay.
void save_training_checkpoint(const std::filesystem::path& run_folder, const dist::Mesh& mesh,
                              const TrainingState& state, int64_t keep);

/// Step of the newest complete checkpoint, if any. Leftovers of interrupted writes are not seen.
std::optional<int64_t> newest_checkpoint(const std::filesystem::path& run_folder);

/// Collective: the step to go on from, nothing where a run begins. Rank 0 looks, once, and all take
/// its answer, since another rank may see the folder differently. Throws InputError if the folder
/// holds checkpoints and `resume` is not set.
std::optional<int64_t> checkpoint_to_resume(const std::filesystem::path& run_folder,
                                            dist::Communicator& world, bool resume);

/// Collective. Restores everything, bit for bit on the same mesh. Moments are stored by their place
/// in the flat buffer: whoever wrote them, in shards or whole, each rank takes what it holds now.
/// On another number of data ranks the data continues exactly and the source's rows are dealt out
/// anew (by global row where their number is the same, else from zero, with a warning); another
/// configuration hash is a warning. Throws InputError naming file and tensor, on all ranks; `state`
/// is then of no use.
void load_training_checkpoint(const std::filesystem::path& run_folder, int64_t step,
                              const dist::Mesh& mesh, TrainingState& state);

}  // namespace longhaul::trainer
