// Names and contents of the files of a training checkpoint.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dist/mesh.h"
#include "model/checkpoint/safetensors.h"
#include "trainer/tensor_file.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::trainer {

inline constexpr const char* kManifestFile = "manifest.json";

std::filesystem::path checkpoints_folder(const std::filesystem::path& run_folder);
/// N of "step-N", a checkpoint's folder.
std::optional<int64_t> step_of_name(std::string_view name);
/// Leaves in the run's folder that the checkpoint of `step` was completed: checkpoint_to_resume
/// then knows that one must be there.
void note_saved(const std::filesystem::path& run_folder, int64_t step);
/// Where a run begins anew.
void forget_saved(const std::filesystem::path& run_folder);
std::string source_file(int data_rank);
/// Of a rank's share of the moments.
std::string optimizer_file(int rank, int ranks);
bool is_optimizer_file(const std::string& name);

/// Size and checksum of a file.
struct FileCheck {
  std::string name;
  int64_t bytes = 0;
  uint32_t crc32c = 0;
};
FileCheck check_of(const std::filesystem::path& file);

/// Which moments are in the file of which rank.
struct MomentLayout {
  int64_t elements = 0;           ///< of the whole buffer; 0: not known
  int64_t bucket = 0, block = 1;  ///< of dist::ShardSetting; bucket 0: even parts in rank order
};
MomentLayout moment_layout(const Optimizer& optimizer);

/// Everything of a training checkpoint but tensors.
struct CheckpointManifest {
  int64_t step = 0, micro_step = 0, tokens = 0, skipped = 0, skipped_in_row = 0;
  int64_t optimizer_steps = 0;
  std::string data_position;
  dist::MeshShape mesh;
  uint64_t configuration_hash = 0;
  MomentLayout moments;
  std::vector<std::pair<std::string, double>> evaluation;
  std::vector<FileCheck> files;

  /// InputError naming every file that is not the one that was written, among the first of each
  /// `stride` from `first` on.
  void verify(const std::filesystem::path& folder, size_t first = 0, size_t stride = 1) const;
};
void write_manifest(const std::filesystem::path& folder, const CheckpointManifest& manifest);
CheckpointManifest read_manifest(const std::filesystem::path& folder);

/// This rank's share: what it holds, or of moments that all hold its part. Tensors are
/// "first_moment.BEGIN" and "second_moment.BEGIN", BEGIN the place of their first element in the
/// flat buffer (left out where it is the whole buffer).
void add_moments(TensorFile& file, const Optimizer& optimizer, int rank, int ranks,
                 core::DeviceReader& reader);
/// Reads what this rank holds out of the files that the manifest names: those that have some of it
/// where their layout is known, else all. InputError unless these hold exactly what they should.
void read_optimizer(const std::filesystem::path& folder, const CheckpointManifest& manifest,
                    core::Context& context, Optimizer& optimizer);

/// Reads what the data ranks of `manifest` wrote into the source of this data rank: from the files
/// with its rows, and the first one.
/// Returns false if the rows could not be dealt out and are zero.
bool read_source(const std::filesystem::path& folder, const CheckpointManifest& manifest,
                 const dist::Mesh& mesh, core::Context& context, InitialStateSource& source);

}  // namespace longhaul::trainer
