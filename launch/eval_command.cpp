#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <iostream>
#include <optional>
#include <string>

#include "eval/perplexity.h"
#include "kernels/core/error.h"
#include "launch/command.h"
#include "launch/command_options.h"
#include "launch/progress_bar.h"
#include "launch/rank_session.h"
#include "launch/run_config.h"
#include "model/checkpoint/model_folder.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::InputError;
using core::message;

/// The configuration of the run that `model` lies in (RUN/model, RUN/checkpoints/step-N), if any.
std::optional<RunConfig> run_of_model(const fs::path& model) {
  const fs::path whole = fs::weakly_canonical(model);
  for (const fs::path& folder : {whole.parent_path(), whole.parent_path().parent_path()}) {
    if (fs::is_regular_file(folder / "run.yaml")) return read_run_config(folder / "run.yaml");
  }
  return std::nullopt;
}

class EvalCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand("eval", "Measures a model far beyond its training length");
    command_->require_subcommand(1);
    text_ =
        command_->add_subcommand("perplexity", "Loss, perplexity and states by position, on text");
    text_->add_option("--data", data_, "token folder")->required();
    describe_common(*text_);
    text_->footer(
        "Example:\n  mpirun -n 2 longhaul eval perplexity --model runs/zero/model --data tokens "
        "--length 8192 --sequences 16 --json runs/zero/evaluation/perplexity.json");
    recall_ =
        command_->add_subcommand("recall", "Accuracy and states by position, associative recall");
    auto* run = recall_->add_option("--run", run_,
                                    "take the task from this run.yaml; default: that "
                                    "of the run that the model lies in");
    task_options_ = recall_->add_option_group("task", "the task itself");
    task_options_->add_option("--keys", task_.keys, "size of the key alphabet")
        ->check(whole_number(2))
        ->excludes(run);
    task_options_->add_option("--values", task_.values, "size of the value alphabet")
        ->check(whole_number(2))
        ->excludes(run);
    task_options_->add_option("--reach", task_.reach, "pairs that a query reaches back at most")
        ->check(whole_number(1))
        ->excludes(run);
    task_options_
        ->add_option("--query-fraction", task_.query_fraction, "share of pairs that are queries")
        ->check(CLI::Range(0.0, 1.0))
        ->excludes(run);
    describe_common(*recall_);
    recall_->footer(
        "Example:\n  longhaul eval recall --model runs/recall/model --length 4096 --sequences 64");
  }
  bool chosen() const override { return command_->parsed(); }
  bool uses_ranks() const override { return true; }

  int run(RankSession& session) override {
    core::Context context = make_context(compute_, session);
    DeviceWorld world(session, context, dist::MpiSession::Options{}.time_limit_s);
    const dist::Mesh mesh = make_mesh(world.get(), sequence_ranks_);
    const auto run = run_.empty() ? run_of_model(model_) : read_run_config(run_);
    if (recall_->parsed()) choose_task(run);
    if (training_length_ == 0 && run) training_length_ = run->data.batch.length;
    const auto model = model::load_model(context, model_, compute_.element_type());
    ProgressBar bar("eval");
    const eval::CurveOptions options{.length = length_,
                                     .sequences = sequences_,
                                     .piece = piece_,
                                     .batch = batch_,
                                     .training_length = training_length_,
                                     .model = model_,
                                     .seed = static_cast<uint64_t>(seed_),
                                     .states = !no_states_,
                                     .progress = [&bar](double share) { bar.show(share, ""); }};
    session.set_activity("eval");
    const eval::PositionCurve curve = evaluate(mesh, *model, options);
    if (session.is_first()) {
      if (!json_.empty()) write_json(curve);
      std::cout << eval::format_table(curve) << std::flush;
    }
    session.world().barrier();
    return kDone;
  }

 private:
  void describe_common(CLI::App& command) {
    command.add_option("--model", model_, "model folder or training checkpoint")->required();
    command.add_option("--length", length_, "tokens of a sequence")
        ->check(whole_number(1))
        ->required();
    command.add_option("--sequences", sequences_, "sequences")->check(whole_number(1))->required();
    command.add_option("--json", json_, "file for the result, which longhaul report reads");
    command.add_option("--piece", piece_, "tokens of a sequence read at a time")
        ->check(whole_number(1))
        ->capture_default_str();
    command.add_option("--batch", batch_, "sequences read side by side")
        ->check(whole_number(1))
        ->capture_default_str();
    command
        .add_option("--sequence-ranks", sequence_ranks_,
                    "ranks that share a sequence; the others take other sequences")
        ->check(whole_number(1))
        ->capture_default_str();
    command
        .add_option("--training-length", training_length_,
                    "noted beside the result; default: that of the run the model lies in")
        ->check(whole_number(1));
    command.add_option("--seed", seed_, "of the choice of sequences")
        ->check(whole_number(0))
        ->capture_default_str();
    command.add_flag("--no-states", no_states_, "leave out the statistics of the states");
    compute_.describe(command);
  }

  eval::PositionCurve evaluate(const dist::Mesh& mesh, model::LanguageModel& model,
                               const eval::CurveOptions& options) const {
    if (recall_->parsed()) return eval::evaluate_recall(mesh, model, task_, options);
    const data::TokenFolder folder(data_);
    if (folder.vocabulary() > model.config().vocabulary) {
      throw InputError(message(data_, ": has a vocabulary of ", folder.vocabulary(), ", the model ",
                               model_, " one of ", model.config().vocabulary));
    }
    return eval::evaluate_text(mesh, model, folder, options);
  }

  // --run, else the options, else the run that the model lies in.
  void choose_task(const std::optional<RunConfig>& run) {
    const bool by_options = task_options_->count_all() > 0;
    if (by_options) return;
    if (!run || run->data.kind != DataKind::kRecall) {
      throw InputError(message(
          run_.empty() ? model_ : run_, run ? ": is of a run on text" : ": lies in no run folder",
          ", expected --run RUN.yaml of a recall run, or --keys, --values, …"));
    }
    task_ = run->data.recall;
  }

  void write_json(const eval::PositionCurve& curve) const {
    const fs::path folder = fs::path(json_).parent_path();
    std::error_code failed;
    if (!folder.empty()) fs::create_directories(folder, failed);
    if (failed) throw core::Error(message(folder.string(), ": ", failed.message()));
    eval::write_curve(json_, curve);
  }

  CLI::App* command_ = nullptr;
  CLI::App* text_ = nullptr;
  CLI::App* recall_ = nullptr;
  CLI::App* task_options_ = nullptr;
  std::string model_, data_, run_, json_;
  data::RecallTask task_;
  int64_t length_ = 0, sequences_ = 0, piece_ = 2048, batch_ = 8;
  int64_t sequence_ranks_ = 1, training_length_ = 0, seed_ = 1;
  bool no_states_ = false;
  ComputeOptions compute_;
};

}  // namespace

std::unique_ptr<Command> make_eval_command() { return std::make_unique<EvalCommand>(); }

}  // namespace longhaul::launch
