#include "trainer/training_checkpoint.h"

#include <glog/logging.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <memory>
#include <string_view>

#include "kernels/core/error.h"
#include "model/checkpoint/folder_replacement.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/weight_files.h"
#include "trainer/all_ranks.h"
#include "trainer/checkpoint_files.h"

namespace longhaul::trainer {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPartial = ".longhaul-partial";  // model::FolderReplacement's

/// Steps of the complete checkpoints, ascending.
std::vector<int64_t> complete_steps(const fs::path& run_folder) {
  constexpr std::string_view kPrefix = "step-";
  std::vector<int64_t> steps;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(checkpoints_folder(run_folder), error)) {
    const std::string name = entry.path().filename().string();
    int64_t step = -1;
    if (!name.starts_with(kPrefix) || !fs::exists(entry.path() / kManifestFile, error)) continue;
    const auto [end, code] =
        std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), step);
    const bool is_ours = code == std::errc() && checkpoint_folder(run_folder, step) == entry.path();
    if (is_ours) steps.push_back(step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

/// What a write that was killed left behind, of whatever step.
void remove_leftovers(const fs::path& run_folder) {
  std::error_code error;
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(checkpoints_folder(run_folder), error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(".step-") && name.ends_with(kPartial)) leftovers.push_back(entry.path());
  }
  for (const fs::path& leftover : leftovers) fs::remove_all(leftover, error);
}

/// Renamed first: what is left if this is interrupted must not look like a checkpoint.
void remove_old(const fs::path& run_folder, int64_t keep) {
  std::vector<int64_t> steps = complete_steps(run_folder);
  std::error_code error;
  for (size_t i = 0; i + static_cast<size_t>(keep) < steps.size(); ++i) {
    const fs::path folder = checkpoint_folder(run_folder, steps[i]);
    const fs::path hidden =
        folder.parent_path() / core::message(".", folder.filename().string(), kPartial);
    fs::rename(folder, hidden, error);
    if (!error) fs::remove_all(hidden, error);
    if (error) LOG(WARNING) << folder.string() << ": cannot be removed: " << error.message();
  }
}

CheckpointManifest manifest_of(const dist::Mesh& mesh, const TrainingState& state) {
  return {.step = state.step,
          .micro_step = state.micro_step,
          .tokens = state.tokens,
          .skipped = state.skipped,
          .skipped_in_row = state.skipped_in_row,
          .optimizer_steps = state.optimizer.steps_taken(),
          .data_position = state.batches.position(),
          .mesh = mesh.shape(),
          .configuration_hash = state.configuration_hash,
          .files = {}};
}

/// A file that each of several ranks writes: this rank's, if any, as number `own` of `count`.
struct NumberedFile {
  int count = 0;
  int own = -1;
  std::function<std::string(int)> name;
  FileCheck check;  ///< of this rank's
};

/// Size and checksum of all of them, from the ranks that wrote them. Collective.
std::vector<FileCheck> gather_checks(dist::Communicator& world, const NumberedFile& file) {
  std::vector<double> numbers(2 * static_cast<size_t>(file.count), 0);
  if (file.own >= 0) {
    const size_t place = 2 * static_cast<size_t>(file.own);
    numbers[place] = static_cast<double>(file.check.bytes);
    numbers[place + 1] = file.check.crc32c;
  }
  world.all_reduce_sum({numbers.data(), core::DType::kF64, {2 * file.count}});
  std::vector<FileCheck> checks;
  for (int i = 0; i < file.count; ++i) {
    const size_t place = 2 * static_cast<size_t>(i);
    checks.push_back({file.name(i), static_cast<int64_t>(numbers[place]),
                      static_cast<uint32_t>(numbers[place + 1])});
  }
  return checks;
}

}  // namespace

void save_training_checkpoint(const fs::path& run_folder, const dist::Mesh& mesh,
                              const TrainingState& state, int64_t keep) {
  dist::Communicator& world = mesh.world();
  const bool leads = world.rank() == 0;
  core::Context& context = state.model.context();
  std::unique_ptr<model::FolderReplacement> replacement;  // on rank 0
  on_all_ranks(world, [&] {
    if (!leads) return;
    remove_leftovers(run_folder);
    replacement = std::make_unique<model::FolderReplacement>(
        checkpoint_folder(run_folder, state.step), [](const std::string&) { return true; });
  });
  const fs::path folder =
      world.broadcast_bytes(leads ? replacement->path().string() : std::string(), 0);

  CheckpointManifest manifest = manifest_of(mesh, state);
  NumberedFile source{.count = mesh.shape().data,
                      .own = mesh.sequence_rank() == 0 ? mesh.data_rank() : -1,
                      .name = source_file,
                      .check = {}};
  const bool sharded = state.optimizer.is_sharded();
  NumberedFile moments{.count = sharded ? world.size() : 1,
                       .own = sharded || leads ? world.rank() : -1,
                       .name = [&](int rank) { return optimizer_file(state.optimizer, rank); },
                       .check = {}};
  on_all_ranks(world, [&] {
    if (source.own >= 0) {
      const fs::path file = folder / source.name(source.own);
      write_source(file, context, state.source);
      source.check = check_of(file);
    }
    if (leads) write_model(folder, state.model);
    if (moments.own >= 0) {
      const fs::path file = folder / moments.name(moments.own);
      write_optimizer(file, context, state.optimizer);
      moments.check = check_of(file);
    }
    if (!leads) return;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (model::is_model_file(entry.path().filename().string())) {
        manifest.files.push_back(check_of(entry.path()));
      }
    }
  });
  for (const NumberedFile& file : {moments, source}) {
    for (FileCheck& check : gather_checks(world, file)) manifest.files.push_back(check);
  }
  on_all_ranks(world, [&] {
    if (!leads) return;
    write_manifest(folder, manifest);
    replacement->commit();
    remove_old(run_folder, keep);
  });
}

std::optional<int64_t> newest_checkpoint(const fs::path& run_folder) {
  const std::vector<int64_t> steps = complete_steps(run_folder);
  if (steps.empty()) return std::nullopt;
  return steps.back();
}

std::optional<int64_t> checkpoint_to_resume(const fs::path& run_folder, dist::Communicator& world,
                                            bool resume) {
  const int64_t own = world.rank() == 0 ? newest_checkpoint(run_folder).value_or(-1) : -1;
  const auto newest = static_cast<int64_t>(world.max(static_cast<double>(own)));
  if (newest < 0) return std::nullopt;
  if (!resume) {
    throw core::InputError(core::message(run_folder.string(), ": holds checkpoints up to step ",
                                         newest, ", expected a folder without any, or --resume"));
  }
  return newest;
}

void load_training_checkpoint(const fs::path& run_folder, int64_t step, const dist::Mesh& mesh,
                              TrainingState& state) {
  const fs::path folder = checkpoint_folder(run_folder, step);
  core::Context& context = state.model.context();
  const bool leads = mesh.world().rank() == 0;
  on_all_ranks(mesh.world(), [&] {
    const CheckpointManifest manifest = read_manifest(folder);
    // Rank 0 reads every file for its checksum, so that a large one is not read by all for that.
    if (leads) manifest.verify(folder);
    model::load_parameters(folder, state.model);
    read_optimizer(folder, manifest, context, state.optimizer);
    state.optimizer.set_steps_taken(manifest.optimizer_steps);
    const bool dealt = read_source(folder, manifest, mesh, context, state.source);
    state.batches.restore(manifest.data_position);
    state.step = manifest.step;
    state.micro_step = manifest.micro_step;
    state.tokens = manifest.tokens;
    state.skipped = manifest.skipped;
    state.skipped_in_row = manifest.skipped_in_row;
    if (!leads) return;
    LOG_IF(WARNING, !dealt) << folder.string() << ": written with another number of sequences a "
                            << "micro-step: the initial-state source starts from zero states";
    LOG_IF(WARNING, manifest.configuration_hash != state.configuration_hash)
        << folder.string() << ": written by a run with another configuration";
  });
}

}  // namespace longhaul::trainer
