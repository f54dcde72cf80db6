#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "eval/model_fingerprint.h"
#include "eval/stored_json.h"
#include "eval/tasks/task_scoring.h"
#include "kernels/core/cuda_memory.h"
#include "launch/build_text.h"
#include "launch/command.h"
#include "launch/eval/eval_progress.h"
#include "launch/eval/measure.h"
#include "launch/forward_files.h"
#include "launch/interruption.h"
#include "launch/model_conversion.h"
#include "launch/rank_session.h"
#include "model/checkpoint/shared_loading.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;

void check_model_is_there(const fs::path& model) {
  if (fs::exists(model)) return;
  throw core::InputError(core::message(
      "--model: ", model.string(),
      ": is not there, expected a run, a model folder, a training checkpoint or a GGUF file"));
}

/// The configuration of the run that `model` lies in, if any.
std::optional<RunConfig> run_config_of(const fs::path& model) {
  const auto run = run_of(model);
  return run ? std::optional(read_run_config(*run / "run.yaml")) : std::nullopt;
}

/// What a file's "task" is for: curves by position have the name of what was read.
std::string kind_of(const std::string& task) {
  const bool is_own = task == "effrem" || task == "states";
  return is_own || eval::find_task_scoring(task) != nullptr ? task : "perplexity";
}

/// A file that is there is replaced only where it is an earlier result of the same measure.
void check_may_replace(const fs::path& json, const std::string& measure) {
  std::error_code none;
  if (!fs::is_regular_file(json) || fs::file_size(json, none) == 0) return;
  std::string found;
  try {
    found = eval::read_task(json);
  } catch (const core::InputError&) {  // no JSON, or another's
  }
  const std::string wanted = measure == "recall" ? "perplexity" : measure;
  if (!found.empty() && kind_of(found) == wanted) return;
  throw core::InputError(core::message("--json: ", json.string(), " is there and is ",
                                       found.empty() ? "no evaluation" : "one of " + found,
                                       ", expected a new file, or an earlier result of eval ",
                                       measure, ", which is replaced"));
}

/// "cpu", or the name of the GPU.
std::string device_name(const core::Device& device) {
  return device.is_cpu() ? core::name_of(device) : core::cuda_device_name(device);
}

/// The state that every sequence begins from; empty: zeros.
model::RecurrentState read_start(const EvalOptions& options, const model::LanguageModel& model) {
  if (options.initial_state.empty()) return {};
  return read_states(options.initial_state, model, 1);
}

/// Units that are done are kept beside the JSON until it is there.
void make_resumable(EvalJob& job) {
  job.continuation.file = job.options.json + ".partial";
  const auto of_first = [&](const std::string& own) {
    return job.mesh.world().broadcast_bytes(job.is_first ? own : "", 0);
  };
  const std::string model = job.is_first ? eval::model_fingerprint(job.model) : "";
  job.continuation.identity = {{"model", of_first(model)},
                               {"program", program_version()},
                               {"device", of_first(device_name(job.model.context().device()))}};
  if (job.start != nullptr) {
    const std::string start =
        job.is_first ? eval::state_fingerprint(job.model.context(), *job.start) : "";
    job.continuation.identity.emplace_back("initial state", of_first(start));
  }
  job.continuation.notice = note;
  job.continuation.interrupted = [] { return interrupted(); };
}

class EvalCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand("eval", "Measures a model far beyond its training length");
    command_->require_subcommand(1);
    for (const auto& measure : measures_) measure->describe(*command_, options_);
  }
  bool chosen() const override { return command_->parsed(); }
  bool uses_ranks() const override { return true; }

  int run(RankSession& session) override {
    if (!options_.json.empty()) catch_interruptions();
    core::Context context = make_context(options_.compute, session);
    DeviceWorld world(session, context, dist::MpiSession::Options{}.time_limit_s);
    return world.run([&] { return run_on(session, world.get(), context); });
  }

 private:
  int run_on(RankSession& session, dist::Communicator& world, core::Context& context) {
    check_model_is_there(options_.model);
    const auto measure = std::find_if(measures_.begin(), measures_.end(),
                                      [](const auto& each) { return each->chosen(); });
    const dist::Mesh mesh = make_mesh(world, options_.sequence_ranks);
    const auto run =
        options_.run.empty() ? run_config_of(options_.model) : read_run_config(options_.run);
    (*measure)->prepare(options_, run);
    if (session.is_first() && !options_.json.empty()) {
      check_can_write("--json", options_.json);
      check_may_replace(options_.json, command_->get_subcommands().front()->get_name());
    }
    int64_t training_length = options_.training_length;
    if (training_length == 0 && run) training_length = run->data.batch.length;
    // A rank without a sequence of its own waits for the others as long as theirs take.
    const dist::Busy busy(session.world(), "evaluating");
    const auto model =
        model::load_model(context, options_.model, options_.compute.element_type(), world);
    const model::RecurrentState start = read_start(options_, *model);
    EvalProgress progress;
    session.set_activity("eval");
    EvalJob job{.options = options_,
                .mesh = mesh,
                .model = *model,
                .start = start.empty() ? nullptr : &start,
                .training_length = training_length,
                .is_first = session.is_first(),
                .continuation = {}};
    job.continuation.progress = [&progress](double share) { progress.show(share); };
    if (!options_.json.empty()) make_resumable(job);
    try {
      (*measure)->run(job);
    } catch (const eval::Interrupted&) {
      if (session.is_first()) {
        std::cout << "interrupted: saved in " << job.continuation.file.string()
                  << ", continue with the same command" << std::endl;
      }
      return kInterrupted;
    }
    session.world().barrier();
    return kDone;
  }

  CLI::App* command_ = nullptr;
  EvalOptions options_;
  std::vector<std::unique_ptr<Measure>> measures_ = make_measures();
};

}  // namespace

std::unique_ptr<Command> make_eval_command() { return std::make_unique<EvalCommand>(); }

}  // namespace longhaul::launch
