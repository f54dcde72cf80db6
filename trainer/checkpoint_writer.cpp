#include "trainer/checkpoint_writer.h"

#include <glog/logging.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <system_error>
#include <utility>

#include "dist/all_ranks.h"
#include "kernels/core/error.h"
#include "model/checkpoint/atomic_file.h"
#include "trainer/checkpoint_files.h"
#include "trainer/checkpoint_retention.h"

namespace longhaul::trainer {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPartial = ".longhaul-partial";  // model::FolderReplacement's

CheckpointShare share_of(const dist::Mesh& mesh, const CheckpointConfig& config) {
  return {.rank = mesh.world().rank(),
          .ranks = mesh.world().size(),
          .source = mesh.sequence_rank() == 0 ? mesh.data_rank() : -1,
          .shard_bytes = static_cast<int64_t>(config.shard_mib * (1 << 20))};
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

/// The evaluation's number that checkpoints are compared by, small where the model is good.
std::optional<double> score_of(const CheckpointManifest& manifest, Measure measure) {
  for (const auto& [name, value] : manifest.evaluation) {
    if (name != enum_names(measure)[static_cast<size_t>(measure)]) continue;
    return measure == Measure::kAccuracy ? -value : value;
  }
  return std::nullopt;
}

/// The run's own: those of later steps than the one just written are another's, or come from a disk
/// that was not there when the run began.
std::vector<int64_t> own_checkpoints(const fs::path& run_folder, int64_t written) {
  std::vector<int64_t> steps = all_checkpoints(run_folder);
  const auto later = std::upper_bound(steps.begin(), steps.end(), written);
  if (later != steps.end()) {
    LOG(WARNING) << checkpoints_folder(run_folder).string() << ": holds checkpoints up to step "
                 << steps.back() << ", which this run, at step " << written
                 << ", has not written; they stay, and --resume would go on from them";
  }
  steps.erase(later, steps.end());
  return steps;
}

/// Renames what need not be kept: what is left if its removal is interrupted must not look like a
/// checkpoint.
std::vector<fs::path> hide_superfluous(const fs::path& run_folder, int64_t written,
                                       const CheckpointConfig& config) {
  std::vector<RetainedCheckpoint> checkpoints;
  for (const int64_t step : own_checkpoints(run_folder, written)) {
    checkpoints.push_back({.step = step, .score = {}});
  }
  int64_t counted = 0;
  for (auto i = checkpoints.rbegin(); i != checkpoints.rend(); ++i) {
    if (counted >= config.keep && config.keep_best == 0) break;  // the rest need not be read
    try {
      const CheckpointManifest manifest = read_manifest(checkpoint_folder(run_folder, i->step));
      i->score = score_of(manifest, config.best);
      i->in_skipped_row = manifest.skipped_in_row > 0;
    } catch (const core::InputError& problem) {
      LOG(WARNING) << problem.what();  // it counts as not evaluated
    }
    counted += i->in_skipped_row ? 0 : 1;
  }
  std::error_code error;
  std::vector<fs::path> hidden_folders;
  for (const int64_t step : superfluous(checkpoints, config)) {
    const fs::path folder = checkpoint_folder(run_folder, step);
    const fs::path hidden =
        folder.parent_path() / core::message(".", folder.filename().string(), kPartial);
    fs::rename(folder, hidden, error);
    if (!error) hidden_folders.push_back(hidden);
    if (error) LOG(WARNING) << folder.string() << ": cannot be removed: " << error.message();
  }
  return hidden_folders;
}

void remove_folders(const std::vector<fs::path>& folders) {
  std::error_code error;
  for (const fs::path& folder : folders) {
    fs::remove_all(folder, error);
    if (error) LOG(WARNING) << folder.string() << ": cannot be removed: " << error.message();
  }
}

/// What can fail without harm to the checkpoint that stands.
template <class Work>
void try_to(const char* what, const Work& work) {
  try {
    work();
  } catch (const core::Error& error) {
    LOG(WARNING) << what << ": " << error.what();
  }
}

/// Files of one kind: number `i` of `count` is called name(i) and written by one rank.
struct NumberedFiles {
  int count = 0;
  std::function<std::string(int)> name;
};

/// Size and checksum of all of them, from the ranks that wrote them. Collective.
void add_gathered(dist::Communicator& world, const NumberedFiles& files,
                  const std::vector<FileCheck>& own, std::vector<FileCheck>& all) {
  std::vector<double> numbers(2 * static_cast<size_t>(files.count), 0);
  for (int i = 0; i < files.count; ++i) {
    const auto found = std::find_if(own.begin(), own.end(), [&](const FileCheck& check) {
      return check.name == files.name(i);
    });
    if (found == own.end()) continue;
    numbers[2 * static_cast<size_t>(i)] = static_cast<double>(found->bytes);
    numbers[2 * static_cast<size_t>(i) + 1] = found->crc32c;
  }
  world.all_reduce_sum({numbers.data(), core::DType::kF64, {2 * files.count}});
  for (int i = 0; i < files.count; ++i) {
    const size_t place = 2 * static_cast<size_t>(i);
    all.push_back({files.name(i), static_cast<int64_t>(numbers[place]),
                   static_cast<uint32_t>(numbers[place + 1])});
  }
}

}  // namespace

CheckpointWriter::CheckpointWriter(fs::path run_folder, const dist::Mesh& mesh,
                                   const CheckpointConfig& config, std::optional<int64_t> newest)
    : run_folder_(std::move(run_folder)),
      mesh_(mesh),
      config_(config),
      share_(share_of(mesh, config)),
      copy_(share_),
      newest_(newest) {}

CheckpointWriter::~CheckpointWriter() {
  const dist::Busy busy(mesh_.world(), "ending a checkpoint");
  if (writing_.valid()) writing_.wait();
  if (removing_.valid()) removing_.wait();
}

CheckpointManifest CheckpointWriter::manifest_of(const TrainingState& state) const {
  return {.step = state.step,
          .micro_step = state.micro_step,
          .tokens = state.tokens,
          .skipped = state.skipped,
          .skipped_in_row = state.skipped_in_row,
          .optimizer_steps = state.optimizer.steps_taken(),
          .data_position = state.batches.position(),
          .mesh = mesh_.shape(),
          .configuration_hash = state.configuration_hash,
          .moments = moment_layout(state.optimizer),
          .evaluation = state.evaluation,
          .files = {}};
}

void CheckpointWriter::begin(const TrainingState& state) {
  if (is_begun()) finish();
  dist::Communicator& world = mesh_.world();
  const bool leads = world.rank() == 0;
  dist::on_all_ranks(world, "removing old checkpoints", [&] {
    if (!leads) return;
    if (removing_.valid()) removing_.get();
    if (fs::create_directories(checkpoints_folder(run_folder_))) model::sync_folder(run_folder_);
    remove_leftovers(run_folder_);
    replacement_ = std::make_unique<model::FolderReplacement>(
        checkpoint_folder(run_folder_, state.step), [](const std::string&) { return true; });
  });
  const fs::path folder =
      world.broadcast_bytes(leads ? replacement_->path().string() : std::string(), 0);
  manifest_ = manifest_of(state);
  copy_.take_source(state);
  const bool copies_beside = config_.background;
  if (!copies_beside) copy_.take_parameters();
  std::promise<void> copied;
  copied_ = copied.get_future();
  writing_ = std::async(config_.background ? std::launch::async : std::launch::deferred,
                        [this, folder, copies_beside, copied = std::move(copied)]() mutable {
                          try {
                            if (copies_beside) copy_.take_parameters();
                          } catch (...) {
                            copied.set_value();  // finish() tells
                            throw;
                          }
                          copied.set_value();
                          return copy_.write(folder);
                        });
}

void CheckpointWriter::wait_for_copy() const {
  if (is_begun() && copied_.valid()) copied_.wait();
}

bool CheckpointWriter::is_busy() const {
  return writing_.valid() &&
         writing_.wait_for(std::chrono::seconds(0)) == std::future_status::timeout;
}

void CheckpointWriter::gather_checks(const std::vector<FileCheck>& own) {
  manifest_.files.clear();
  for (const FileCheck& check : own) {  // the model's small ones, on rank 0
    const bool is_small = check.name == model::kConfigFile || check.name == model::kIndexFile;
    if (is_small) manifest_.files.push_back(check);
  }
  const std::vector<model::WeightFile>& weights = copy_.weights();
  const auto weight = [&](int i) { return weights[static_cast<size_t>(i)].name; };
  const auto moments = [&](int rank) { return optimizer_file(rank, share_.ranks); };
  add_gathered(mesh_.world(), {static_cast<int>(weights.size()), weight}, own, manifest_.files);
  add_gathered(mesh_.world(), {share_.ranks, moments}, own, manifest_.files);
  add_gathered(mesh_.world(), {mesh_.shape().data, source_file}, own, manifest_.files);
}

void CheckpointWriter::tidy_up() {
  std::vector<fs::path> hidden;
  try_to("older checkpoints stay",
         [&] { hidden = hide_superfluous(run_folder_, manifest_.step, config_); });
  try_to("what is saved is not noted", [&] { note_saved(run_folder_, manifest_.step); });
  // Large files take a while.
  removing_ = std::async(config_.background ? std::launch::async : std::launch::deferred,
                         [folders = std::move(hidden)] { remove_folders(folders); });
  if (!config_.background) removing_.get();
}

void CheckpointWriter::add_evaluation(const TrainingState& state) const {
  if (mesh_.world().rank() != 0) return;
  const dist::Busy busy(mesh_.world(), "completing a checkpoint");
  try_to("the checkpoint's evaluation is not noted", [&] {
    const fs::path folder = checkpoint_folder(run_folder_, state.step);
    CheckpointManifest manifest = read_manifest(folder);
    manifest.evaluation = state.evaluation;
    write_manifest(folder, manifest);
  });
}

void CheckpointWriter::finish() {
  dist::Communicator& world = mesh_.world();
  const bool leads = world.rank() == 0;
  std::vector<FileCheck> own;
  try {
    dist::on_all_ranks(world, "writing its part of a checkpoint", [&] { own = writing_.get(); });
    gather_checks(own);
    dist::on_all_ranks(world, "completing a checkpoint", [&] {
      if (!leads) return;
      write_manifest(replacement_->path(), manifest_);
      replacement_->commit();
      tidy_up();
    });
  } catch (...) {
    replacement_.reset();  // and with it what was written
    throw;
  }
  replacement_.reset();
  newest_ = manifest_.step;
}

void save_training_checkpoint(const fs::path& run_folder, const dist::Mesh& mesh,
                              const TrainingState& state, const CheckpointConfig& config) {
  CheckpointWriter writer(run_folder, mesh, config);
  writer.begin(state);
  writer.finish();
}

}  // namespace longhaul::trainer
