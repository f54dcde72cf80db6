// `longhaul eval NAME` of every kind of task.
#include <glog/logging.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "data/tasks/task_kind.h"
#include "eval/conditions.h"
#include "eval/tasks/task_evaluation.h"
#include "eval/tasks/task_scoring.h"
#include "kernels/core/error.h"
#include "launch/eval/measure.h"
#include "launch/eval/setting_options.h"
#include "launch/given_tokens.h"
#include "launch/model_tokenizer.h"
#include "launch/task_settings.h"

namespace longhaul::launch {

namespace {

/// InputError where a value is given twice: its questions would be counted twice.
template <class T>
void expect_each_once(const char* option, std::vector<T> values) {
  std::ranges::sort(values);
  const auto twice = std::ranges::adjacent_find(values);
  if (twice == values.end()) return;
  throw core::InputError(core::message(option, ": ", *twice, " is given twice"));
}

/// The tokenizer that `specification` names, else the model's own (launch/model_tokenizer.h).
/// InputError where the model's vocabulary is smaller, or of another tokenizer.
std::unique_ptr<data::Tokenizer> make_tokenizer(const EvalJob& job,
                                                const std::string& specification, bool other) {
  const int64_t vocabulary = job.model.config().vocabulary;
  const std::string chosen =
      specification.empty() ? tokenizer_of_model(job.options.model, vocabulary) : specification;
  auto tokenizer = make_given_tokenizer("--tokenizer", chosen);
  if (tokenizer->vocabulary() > vocabulary) {
    throw core::InputError(core::message(job.options.model, ": has a vocabulary of ", vocabulary,
                                         ", the tokenizer '", chosen, "' needs ",
                                         tokenizer->vocabulary()));
  }
  if (!other) {
    expect_same_tokenizer({"--tokenizer", tokenizer->name()}, tokenizer_known_to(job.options.model),
                          "--other-tokenizer");
  }
  return tokenizer;
}

/// For the result: paths by their names, what else was set as the options are called.
class SettingNotes final : public core::FieldVisitor {
 public:
  void field(const char* name, int64_t& value, const char*, const Rule<int64_t>&) override {
    notes.emplace_back(option_of(name), core::message(value));
  }
  void field(const char* name, double& value, const char*, const Rule<double>&) override {
    notes.emplace_back(option_of(name), core::message(value));
  }
  void field(const char* name, bool& value, const char*) override {
    notes.emplace_back(option_of(name), value ? "true" : "false");
  }
  void path(const char* name, std::string& value, const char*) override {
    if (!value.empty()) notes.emplace_back(name, value);
  }
  void paths(const char* name, std::vector<std::string>& values, const char*) override {
    for (const std::string& value : values) notes.emplace_back(name, value);
  }
  eval::Identity notes;
};

class TaskMeasure final : public Measure {
 public:
  TaskMeasure(const data::TaskKind& kind, std::unique_ptr<eval::TaskScoring> scoring)
      : kind_(kind.for_evaluation()), scoring_(std::move(scoring)) {}

  void describe(CLI::App& eval, EvalOptions& options) override {
    command_ = eval.add_subcommand(kind_->name(), kind_->help());
    command_->add_option("--lengths", lengths_, kind_->lengths_help())
        ->delimiter(',')
        ->check(whole_number(0))
        ->required(kind_->usual_lengths().empty());
    command_->add_option("--trials", trials_, "trials of each kind")
        ->check(whole_number(1))
        ->capture_default_str();
    if (kind_->has_depths()) {
      command_
          ->add_option("--depths", depths_,
                       "where what must be found is, from 0, before all other text, to 1, after it")
          ->delimiter(',')
          ->check(number_within(0, 1))
          ->capture_default_str();
    }
    if (kind_->is_in_text()) text_.describe(*command_)->required(false);
    if (kind_->has_words()) {
      command_->add_option("--tokenizer", tokenizer_,
                           "byte, a tokenizer.json, a tokenizer.model, or a folder with one of "
                           "them; default: the one beside the model");
      if (!kind_->is_in_text()) describe_other_tokenizer(*command_, text_.other_tokenizer);
    }
    if (has_settings()) {
      command_->add_option("--run", options.run,
                           "take the task's settings from this run.yaml; default: those of the run "
                           "that the model lies in");
    }
    settings_.describe(*command_, settings_of(*kind_), "; default: of the run");
    scoring_options_.describe(*command_, [this](auto& v) { scoring_->visit(v); });
    options.describe(*command_);
    command_->footer(core::message("Example:\n  longhaul eval ", kind_->name(),
                                   " --model runs/zero/model ", kind_->example(),
                                   " --json runs/zero/evaluation/", kind_->name(), ".json"));
  }
  bool chosen() const override { return command_->parsed(); }

  void prepare(const EvalOptions& options, const std::optional<RunConfig>& run) override {
    const bool is_of_run =
        run && run->data.task() != nullptr && run->data.task()->name() == kind_->name();
    if (is_of_run) {
      kind_ = run->data.task()->for_evaluation();
      row_ = run->data.batch.length;
      if (kind_->is_in_text() && text_.data.empty()) {
        text_.data = run->data.folder;
        text_.file = run->data.file;
      }
    }
    settings_.apply(settings_of(*kind_));
    if (is_of_run) trained_on_ = run->data.task()->same_data(*kind_).files;
    scoring_options_.apply([this](auto& v) { scoring_->visit(v); });
    core::Problems problems;
    for (const std::string& problem : kind_->problems()) problems.push_back("--" + problem);
    if (!is_of_run && has_settings() && problems.empty() && !settings_.any_given()) {
      problems.push_back(core::message(options.run.empty() ? options.model : options.run,
                                       ": is of no run of data.kind ", kind_->name(),
                                       ", expected --run RUN.yaml of one, or ", settings_.names()));
    }
    if (lengths_.empty()) lengths_ = kind_->usual_lengths();
    const bool reads_text = std::ranges::any_of(lengths_, [](int64_t l) { return l > 0; });
    if (kind_->is_in_text() && reads_text && text_.data.empty()) {
      problems.push_back("--data: is not given, expected text for lengths above 0");
    }
    if (!problems.empty()) throw core::InputError(problems);
    expect_each_once("--lengths", lengths_);
    for (const int64_t length : lengths_) {
      if (length >= kind_->least_length()) continue;
      throw core::InputError(
          core::message("--lengths: must be at least ", kind_->least_length(), ", is ", length));
    }
    expect_each_once("--depths", depths_);
  }

  void run(const EvalJob& job) override {
    std::unique_ptr<data::Tokenizer> tokenizer;
    if (kind_->has_words()) tokenizer = make_tokenizer(job, tokenizer_, text_.other_tokenizer);
    std::unique_ptr<data::TokenData> tokens;
    std::unique_ptr<data::BackgroundText> background;
    if (!text_.data.empty()) {
      tokens = text_.open(job.model, job.options.model);
      background = std::make_unique<data::BackgroundText>(*tokens, *tokenizer);
    }
    const auto tasks = kind_->make({.tokenizer = tokenizer.get(), .background = background.get()});
    std::vector<std::unique_ptr<eval::AnswerScorer>> scorers;
    std::vector<eval::TaskPart> parts;
    for (const auto& task : tasks) {
      scorers.push_back(scoring_->make(*task, tokenizer.get()));
      parts.push_back({task->name() == kind_->name() ? "" : task->name(), *task, *scorers.back()});
    }
    write_and_print(job, evaluate_task(job.mesh, job.model, parts, resolve(job)));
  }

 private:
  static SettingOptions::Visit settings_of(data::TaskKind& kind) {
    return [&kind](core::FieldVisitor& v) { kind.visit(v); };
  }
  bool has_settings() const { return !data::settings_of(*kind_).empty(); }

  eval::TaskOptions resolve(const EvalJob& job) const {
    eval::TaskOptions options{.task = kind_->name(),
                              .depths = kind_->has_depths() ? depths_ : std::vector<double>{},
                              .depth_matters = scoring_->depth_matters(),
                              .trials = trials_,
                              .piece = job.options.piece,
                              .batch = job.options.batch,
                              .seed = static_cast<uint64_t>(job.options.seed),
                              .model = job.options.model,
                              .training_length = job.training_length,
                              .start = job.start,
                              .continuation = job.continuation};
    if (job.options.training_length == 0 && (row_ > 0 || !scoring_->unit().empty())) {
      options.training_length = row_ > 0 ? kind_->longest_trained(row_) : 0;  // not in tokens
    }
    for (const int64_t length : lengths_) options.lengths.push_back(kind_->prompt_of(length));
    SettingNotes settings;
    kind_->clone()->visit(settings);
    for (const auto& note : settings.notes) options.continuation.notes.push_back(note);
    if (!text_.data.empty()) options.continuation.notes.emplace_back("data", text_.data);
    if (!trained_on_.empty()) {
      options.continuation.notes.emplace_back(eval::kTrainedOn, "yes");
      if (job.is_first) {
        note(core::message(job.options.model, " is asked what it was trained on (", trained_on_,
                           ")"));
      }
    }
    return options;
  }

  /// Lengths in the result are as they were asked for.
  void write_and_print(const EvalJob& job, eval::TaskResult result) const {
    for (eval::TaskCell& cell : result.cells) {
      const auto asked = std::ranges::find_if(
          lengths_, [&](int64_t length) { return kind_->prompt_of(length) == cell.length; });
      cell.length = *asked;
    }
    publish(job, eval::format_table(result),
            [&](const std::string& file) { eval::write_task_result(file, result); });
  }

  CLI::App* command_ = nullptr;
  std::unique_ptr<data::TaskKind> kind_;
  std::unique_ptr<eval::TaskScoring> scoring_;
  SettingOptions settings_, scoring_options_;
  std::vector<int64_t> lengths_;
  std::vector<double> depths_{0, 0.25, 0.5, 0.75, 1};
  int64_t trials_ = 100, row_ = 0;
  std::string trained_on_;  ///< files, where they are asked about
  TextOptions text_;
  std::string tokenizer_;
};

}  // namespace

std::vector<std::unique_ptr<Measure>> make_task_measures() {
  std::vector<std::unique_ptr<Measure>> measures;
  for (const auto& kind : task_kinds()) {
    auto scoring = eval::make_task_scoring(kind->name());
    CHECK(scoring != nullptr) << kind->name() << " has no file in eval/tasks/scorings";
    measures.push_back(std::make_unique<TaskMeasure>(*kind, std::move(scoring)));
  }
  return measures;
}

}  // namespace longhaul::launch
