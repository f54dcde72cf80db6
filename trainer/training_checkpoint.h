// Training checkpoints: RUN/checkpoints/step-N/. A folder is written beside, fsynced, then renamed:
// it is there whole or not at all. It is also a model folder (config.json, model.safetensors), so
// that every command reads it; large weights are in shards with an index, each written by another
// rank (one file that all write to was rejected: two writers of one page lose bytes on NFS). Beside
// the model: optimizer.safetensors (moments; with several ranks each one's share in
// optimizer-R.safetensors), sources-D.safetensors for each data rank D (initial-state source),
// manifest.json (Protobuf JSON of trainer/training_checkpoint.proto: format version, step, tokens,
// position of the data, mesh, configuration hash, checksums).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "dist/mesh.h"
#include "model/language_model.h"
#include "trainer/config.h"
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
  /// What was measured at this very step; empty where nothing was.
  std::vector<std::pair<std::string, double>> evaluation;
};

/// A checkpoint at once (CheckpointWriter writes it while training goes on). Collective.
void save_training_checkpoint(const std::filesystem::path& run_folder, const dist::Mesh& mesh,
                              const TrainingState& state, const CheckpointConfig& config);

/// Step of the newest complete checkpoint, if any. Leftovers of interrupted writes are not seen.
/// core::Error where all_checkpoints has one.
std::optional<int64_t> newest_checkpoint(const std::filesystem::path& run_folder);

/// Steps of all complete checkpoints, ascending; none where the folder of checkpoints is not there.
/// core::Error naming what is there and cannot be read.
std::vector<int64_t> all_checkpoints(const std::filesystem::path& run_folder);
std::filesystem::path checkpoint_folder(const std::filesystem::path& run_folder, int64_t step);

/// Reads every file of a checkpoint's folder and holds it against the manifest; InputError naming
/// all that are missing or damaged.
void verify_checkpoint(const std::filesystem::path& folder);

enum class Resume : uint8_t {
  kNo,          ///< the folder must hold no checkpoint
  kNewest,      ///< damaged or not: loading says what is wrong with it
  kNewestSound  ///< damaged ones are renamed to damaged-step-N, with a warning, and left out
};
/// Collective: the step to go on from, nothing where a run begins. Rank 0 looks, once, and all take
/// its answer, since another rank may see the folder differently. Throws InputError if the folder
/// holds checkpoints and it is not to be resumed, if none of them is sound, or if it is to be
/// resumed and what was saved is gone; core::Error if they cannot be read.
std::optional<int64_t> checkpoint_to_resume(const std::filesystem::path& run_folder,
                                            dist::Communicator& world, Resume resume);

/// Collective. Restores everything, bit for bit on the same mesh. Moments are stored by their place
/// in the flat buffer: whoever wrote them, in shards or whole, each rank takes what it holds now.
/// On another number of data ranks the data continues exactly and the source's rows are dealt out
/// anew (by global row where their number is the same, else from zero, with a warning); another
/// configuration hash is a warning. Throws InputError naming file and tensor, on all ranks; `state`
/// is then of no use.
void load_training_checkpoint(const std::filesystem::path& run_folder, int64_t step,
                              const dist::Mesh& mesh, TrainingState& state);

}  // namespace longhaul::trainer
