#include "tests/trainer/planned_run.h"

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <string>

#include "dist/thread_communicator.h"
#include "model/init.h"
#include "tests/model/scratch_folder.h"
#include "tests/trainer/tiny_run.h"

namespace longhaul::testing {

namespace {

trainer::TrainerConfig trainer_of(const PlannedRun& run) {
  trainer::TrainerConfig config = TinyRun::tiny_trainer_config();
  config.initial_state.source = run.source;
  config.schedule = {.steps = run.steps, .warmup = 0};
  config.batch = run.batch;
  config.exchange = run.exchange;
  config.full_gradient = run.full_gradient;
  config.shard_optimizer = run.sharded;
  config.bucket_bytes = 1 << 20;
  return config;
}

int64_t bytes_of_tensors(const std::filesystem::path& checkpoint) {
  int64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(checkpoint)) {
    if (entry.path().extension() == ".safetensors") {
      bytes += static_cast<int64_t>(entry.file_size());
    }
  }
  return bytes;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const PlannedRun& run) { return out << run.name; }

model::ModelConfig planned_model() {
  return {.vocabulary = 10,
          .width = 64,
          .layers = 3,
          .heads = 4,
          .head_dim = 32,
          .state_dim = 32,
          .chunk = 32};
}

trainer::MemoryPlan plan_of(const PlannedRun& run) {
  const trainer::TrainerConfig config = trainer_of(run);
  return trainer::plan_memory({.model = run.model,
                               .device = run.device.kind,
                               .dtype = run.dtype,
                               .trainer = config,
                               .mesh = run.mesh,
                               .threads = run.threads});
}

MeasuredMemory measure(const PlannedRun& run) {
  const ScratchFolder folder;
  const trainer::TrainerConfig config = trainer_of(run);
  std::mutex mutex;
  MeasuredMemory measured;
  measured.allocations.resize(static_cast<size_t>(run.steps));
  dist::run_thread_ranks(run.mesh.data * run.mesh.sequence, [&](dist::Communicator& threads) {
    const auto own = run.communicator ? run.communicator(threads) : nullptr;
    core::Context context(run.device, run.threads);
    const dist::Mesh mesh(own ? *own : threads, run.mesh);
    model::LanguageModel model(context, run.model, run.dtype);
    model::initialize(model, 3);
    const int64_t rows = run.batch.sequences / (run.batch.accumulation * run.mesh.data);
    StreamSource batches(rows, run.batch.length, mesh.data_rank() * rows);
    std::vector<int64_t> before;  // of each step
    trainer::train(config,
                   {.context = context,
                    .mesh = mesh,
                    .model = model,
                    .batches = batches,
                    .run_folder = folder.path(),
                    .evaluate = nullptr,
                    .interrupted = nullptr,
                    .activity =
                        [&](const std::string& activity) {
                          if (activity.starts_with("step")) {
                            before.push_back(context.pool().system_allocations());
                          }
                        }},
                   std::nullopt);
    before.push_back(context.pool().system_allocations());
    const std::lock_guard lock(mutex);
    measured.peak = std::max(measured.peak, context.pool().peak_bytes());
    measured.reserved = std::max(measured.reserved, context.pool().reserved_bytes());
    for (size_t i = 0; i < measured.allocations.size(); ++i) {
      measured.allocations[i] += before[i + 1] - before[i];
    }
  });
  measured.checkpoint =
      bytes_of_tensors(folder.path() / "checkpoints" / ("step-" + std::to_string(run.steps)));
  return measured;
}

}  // namespace longhaul::testing
