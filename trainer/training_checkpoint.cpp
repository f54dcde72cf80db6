#include "trainer/training_checkpoint.h"

#include <glog/logging.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "dist/all_ranks.h"
#include "kernels/core/error.h"
#include "kernels/core/fields.h"
#include "kernels/core/random_access_file.h"
#include "model/checkpoint/atomic_file.h"
#include "model/checkpoint/shared_loading.h"
#include "trainer/checkpoint_files.h"

namespace longhaul::trainer {

namespace fs = std::filesystem;
using core::message;

namespace {

constexpr const char* kSavedFile = ".newest_checkpoint";  // step of the last one that was completed

/// Out of the way: it must neither be taken for the newest one nor push sound ones out.
void set_aside(const fs::path& run_folder, int64_t step) {
  const fs::path folder = checkpoint_folder(run_folder, step);
  const fs::path aside = folder.parent_path() / ("damaged-" + folder.filename().string());
  fs::remove_all(aside);
  fs::rename(folder, aside);
}

/// Of the checkpoint of `step`; that of a folder which was renamed is none.
CheckpointManifest manifest_of(const fs::path& run_folder, int64_t step) {
  const fs::path folder = checkpoint_folder(run_folder, step);
  CheckpointManifest manifest = read_manifest(folder);
  if (manifest.step != step) {
    throw core::InputError(message((folder / kManifestFile).string(), ": step: is ", manifest.step,
                                   ", expected that of its folder, ", step));
  }
  return manifest;
}

/// −1 where there is no checkpoint at all.
int64_t newest_sound(const fs::path& run_folder) {
  std::vector<int64_t> steps = all_checkpoints(run_folder);
  if (steps.empty()) return -1;
  core::Problems problems;
  std::vector<int64_t> damaged;
  for (; !steps.empty(); steps.pop_back()) {
    try {
      manifest_of(run_folder, steps.back()).verify(checkpoint_folder(run_folder, steps.back()));
      break;
    } catch (const core::InputError& error) {
      problems.insert(problems.end(), error.problems().begin(), error.problems().end());
      damaged.push_back(steps.back());
    }
  }
  if (steps.empty()) {
    problems.push_back(run_folder.string() + ": none of its checkpoints is sound");
    throw core::InputError(std::move(problems));
  }
  for (const std::string& problem : problems) LOG(WARNING) << problem;
  for (const int64_t step : damaged) {
    set_aside(run_folder, step);
    LOG(WARNING) << run_folder.string() << ": checkpoint of step " << step
                 << " is damaged and left out, the run goes on from step " << steps.back();
  }
  return steps.back();
}

/// Against `newest`, which was found: nobody but its user takes a run's checkpoints away.
void expect_saved(const fs::path& run_folder, int64_t newest) {
  const fs::path file = run_folder / kSavedFile;
  if (!fs::exists(file)) return;  // none was saved
  const std::string text = core::read_file(file);
  int64_t saved = -1;
  std::from_chars(text.data(), text.data() + text.size(), saved);
  if (newest >= saved) return;
  const std::string folder = checkpoints_folder(run_folder).string();
  if (newest < 0) {
    throw core::InputError(message(folder, ": holds no checkpoint, expected that of step ", saved,
                                   ", which was saved; is its file system there? To begin anew, ",
                                   "train without --resume"));
  }
  LOG(WARNING) << folder << ": holds checkpoints up to step " << newest
               << ", expected that of step " << saved << ", which was saved";
}

}  // namespace

void note_saved(const fs::path& run_folder, int64_t step) {
  model::write_file_atomically(run_folder / kSavedFile, message(step, "\n"));
}

void forget_saved(const fs::path& run_folder) {
  std::error_code error;
  fs::remove(run_folder / kSavedFile, error);
  if (error) throw core::Error(message((run_folder / kSavedFile).string(), ": ", error.message()));
}

std::optional<int64_t> step_of_name(std::string_view name) {
  constexpr std::string_view kPrefix = "step-";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int64_t step = -1;
  const char* const end = name.data() + name.size();
  const auto [rest, code] = std::from_chars(name.data() + kPrefix.size(), end, step);
  return code == std::errc() && rest == end && step >= 0 ? std::optional(step) : std::nullopt;
}

std::vector<int64_t> all_checkpoints(const fs::path& run_folder) {
  const fs::path folder = checkpoints_folder(run_folder);
  std::vector<int64_t> steps;
  std::error_code error;
  const auto expect_read = [&](const fs::path& path) {
    if (error) throw core::Error(message(path.string(), ": cannot be read: ", error.message()));
  };
  // Of the folder itself: a link whose target is not there is a disk that is not mounted.
  const fs::file_status status = fs::symlink_status(folder, error);
  if (status.type() == fs::file_type::not_found) return steps;
  expect_read(folder);
  fs::directory_iterator entry(folder, error);
  expect_read(folder);
  while (entry != fs::directory_iterator()) {
    const fs::path path = entry->path();
    const auto step = step_of_name(path.filename().string());
    const bool is_ours = step && checkpoint_folder(run_folder, *step) == path;
    if (is_ours && fs::exists(path / kManifestFile, error)) steps.push_back(*step);
    expect_read(path / kManifestFile);
    entry.increment(error);
    expect_read(folder);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::optional<int64_t> newest_checkpoint(const fs::path& run_folder) {
  const std::vector<int64_t> steps = all_checkpoints(run_folder);
  if (steps.empty()) return std::nullopt;
  return steps.back();
}

void verify_checkpoint(const fs::path& folder) { read_manifest(folder).verify(folder); }

std::optional<int64_t> checkpoint_to_resume(const fs::path& run_folder, dist::Communicator& world,
                                            Resume resume) {
  int64_t own = -1;
  dist::on_all_ranks(world, "looking for a sound checkpoint", [&] {
    if (world.rank() != 0) return;
    own = resume == Resume::kNewestSound ? newest_sound(run_folder)
                                         : newest_checkpoint(run_folder).value_or(-1);
    if (resume != Resume::kNo) expect_saved(run_folder, own);
  });
  const auto newest = static_cast<int64_t>(world.max(static_cast<double>(own)));
  if (newest < 0) return std::nullopt;
  if (resume == Resume::kNo) {
    throw core::InputError(message(run_folder.string(), ": holds checkpoints up to step ", newest,
                                   ", expected a folder without any, or --resume"));
  }
  return newest;
}

void load_training_checkpoint(const fs::path& run_folder, int64_t step, const dist::Mesh& mesh,
                              TrainingState& state) {
  const fs::path folder = checkpoint_folder(run_folder, step);
  core::Context& context = state.model.context();
  const dist::Communicator& world = mesh.world();
  const bool leads = world.rank() == 0;
  CheckpointManifest manifest;
  dist::on_all_ranks(mesh.world(), "verifying the checkpoint", [&] {
    manifest = manifest_of(run_folder, step);
    // Every file is read for its checksum once, the ranks share them.
    manifest.verify(folder, static_cast<size_t>(world.rank()), static_cast<size_t>(world.size()));
  });
  model::load_parameters(folder, state.model, mesh.world());
  dist::on_all_ranks(mesh.world(), "reading the checkpoint", [&] {
    if (leads || state.optimizer.is_sharded()) {
      read_optimizer(folder, manifest, context, state.optimizer);
    }
    state.optimizer.set_steps_taken(manifest.optimizer_steps);
    const bool dealt = read_source(folder, manifest, mesh, context, state.source);
    state.batches.restore(manifest.data_position);
    state.step = manifest.step;
    state.micro_step = manifest.micro_step;
    state.tokens = manifest.tokens;
    state.skipped = manifest.skipped;
    state.skipped_in_row = manifest.skipped_in_row;
    state.evaluation = manifest.evaluation;
    if (!leads) return;
    LOG_IF(WARNING, !dealt) << folder.string() << ": written with another number of sequences a "
                            << "micro-step: the initial-state source starts from zero states";
    LOG_IF(WARNING, manifest.configuration_hash != state.configuration_hash)
        << folder.string() << ": written by a run with another configuration";
  });
  if (state.optimizer.is_sharded()) return;
  for (const Optimizer::Part& part : state.optimizer.parts()) {  // the same on all ranks
    dist::share_first(mesh.world(), part.first_moment);
    dist::share_first(mesh.world(), part.second_moment);
  }
}

}  // namespace longhaul::trainer
