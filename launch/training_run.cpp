#include "launch/training_run.h"

#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "data/read_ahead.h"
#include "launch/command.h"
#include "launch/command_options.h"
#include "launch/environment/job_environment.h"
#include "launch/environment/shared_folder.h"
#include "launch/evaluation_numbers.h"
#include "launch/interruption.h"
#include "launch/peak_flops.h"
#include "launch/rank_session.h"
#include "launch/run_data.h"
#include "launch/run_folder.h"
#include "launch/run_lock.h"
#include "launch/text_table.h"
#include "launch/trainer_settings.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/shared_loading.h"
#include "model/init.h"
#include "trainer/trainer.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;

std::unique_ptr<model::LanguageModel> make_model(dist::Communicator& world, core::Context& context,
                                                 const TrainingRun& run, bool continued) {
  auto model = std::make_unique<model::LanguageModel>(context, run.shape,
                                                      element_type(run.config.run.dtype));
  if (continued) return model;  // the checkpoint brings the parameters
  if (run.config.model.from.empty()) {
    const dist::Busy busy(world, "making the model");
    model::initialize(*model, static_cast<uint64_t>(run.config.run.seed));
  } else {
    model::load_parameters(run.config.model.from, *model, world);
  }
  return model;
}

void print_map(const TrainingRun& run, const core::Context& context) {
  const auto& config = run.config;
  std::cout << run.data.map() << describe(run.plan, config) << "device         "
            << core::name_of(context.device()) << ", " << context.threads()
            << (context.threads() == 1 ? " thread" : " threads") << " a rank, "
            << core::name_of(element_type(config.run.dtype)) << "\n"
            << "h0 from        "
            << enum_names(
                   config.initial_state.source)[static_cast<size_t>(config.initial_state.source)]
            << "\n"
            << "run folder     " << config.run.folder << ", configuration " << std::hex
            << computation_hash(config) << std::dec << std::endl;
}

/// What the plan said and what it was, of this rank.
void print_memory(const TrainingRun& run, core::Context& context) {
  const core::MemoryPool& pool = context.pool();
  std::cout << "memory         " << size_text(run.plan.memory.peak) << " planned, "
            << size_text(pool.peak_bytes()) << " at the highest, "
            << size_text(pool.reserved_bytes()) << " with what is kept to be used again";
  if (!context.device().is_cpu()) {
    const core::CudaMemory device = core::cuda_memory(context.device());
    std::cout << "; " << size_text(device.total - device.free - pool.reserved_bytes())
              << " of the device beside it (CUDA, NCCL, other processes)";
  }
  std::cout << std::endl;
}

int train_on(RankSession& session, DeviceWorld& world, core::Context& context,
             const TrainingRun& run) {
  const RunConfig& config = run.config;
  const fs::path folder = config.run.folder;
  const dist::Mesh mesh(world.get(), run.plan.mesh);
  if (session.is_first()) open_run_folder(folder);
  session.world().barrier();
  std::ostringstream environment;  // shown once nothing else is refused
  const std::vector<std::string> hosts =
      check_environment(session,
                        {.folder = existing_folder(folder),
                         .device = context.device(),
                         .threads = context.threads(),
                         .needs = needs_of(run.plan, folder.string())},
                        session.size() > 1, environment);
  const RunLock lock(folder, session.world(), kLockPatienceS);
  const auto resume_from = trainer::checkpoint_to_resume(folder, session.world(), run.resume);
  if (session.is_first()) {
    write_run_config(config, resume_from);
    keep_tokenizer(folder, run.data.tokenizer_files());
    std::cout << environment.str();
    print_map(run, context);
  }
  session.world().barrier();

  const auto model = make_model(mesh.world(), context, run, resume_from.has_value());
  const auto batches = data::read_ahead(
      run.data.batches(
          {.data_ranks = mesh.shape().data, .data_rank = mesh.data_rank(), .rows = run.plan.rows}),
      config.data.batch.accumulation);
  trainer::TrainerParts parts{
      .context = context,
      .mesh = mesh,
      .model = *model,
      .batches = *batches,
      .run_folder = folder,
      .evaluate = nullptr,
      .interrupted = [] { return interrupted(); },
      .activity = [&world](const std::string& what) { world.set_activity(what); },
      .hosts = hosts};
  // On a device the host sees neither its work nor its waiting.
  if (context.device().is_cpu()) parts.seconds_waited = [&] { return session.seconds_waited(); };
  if (config.evaluation.every > 0) {
    parts.evaluate = [&](int64_t) -> std::optional<trainer::Numbers> {
      const dist::Busy busy(session.world(), "evaluating");
      try {
        return evaluation_numbers(run.data.evaluate(mesh, *model));
      } catch (const eval::Interrupted&) {
        return std::nullopt;
      }
    };
  }
  trainer::TrainerConfig settings = trainer_config(config, context.device().kind);
  settings.stop_at = run.until;
  settings.peak_flops = measure_peak_flops(context, model->dtype());
  if (trainer::train(settings, parts, resume_from) == trainer::Ending::kInterrupted) {
    if (session.is_first()) {
      std::cout << "interrupted: saved in " << folder.string() << ", continue with --resume"
                << std::endl;
    }
    return kInterrupted;
  }
  if (session.is_first()) {
    print_memory(run, context);
    const dist::Busy busy(session.world(), "writing the final model");
    model::save_model(*model, folder / "model",
                      {.companions = data::tokenizer_files_in(folder / kRunTokenizer)});
    std::cout << "final model    " << (folder / "model").string() << std::endl;
  }
  session.world().barrier();
  return kDone;
}

}  // namespace

int run_training(RankSession& session, const TrainingRun& run) {
  catch_interruptions();
  outlive_readers();
  const RunConfig& config = run.config;
  session.set_time_limit(config.parallel.time_limit_s);
  session.set_activity("start");
  core::Context context(choose_device(config.run.device, session),
                        choose_threads(config.parallel.threads, session));
  if (context.device().is_cpu() && config.run.dtype == DTypeChoice::kBF16) {
    throw core::InputError(core::message("run.dtype: bf16 is there for cuda only, and run.device ",
                                         "cannot be cuda: ", why_auto_is_cpu()));
  }
  DeviceWorld world(session, context, config.parallel.time_limit_s);
  return world.run([&] { return train_on(session, world, context, run); });
}

}  // namespace longhaul::launch
