#include <CLI/CLI.hpp>
#include <algorithm>

#include "data/tasks/babi_file.h"
#include "data/tasks/babilong_task.h"
#include "kernels/core/error.h"
#include "launch/babilong_wording.h"
#include "launch/eval/task_options.h"

namespace longhaul::launch {

namespace {

class BabilongMeasure : public Measure {
 public:
  void describe(CLI::App& eval, EvalOptions& options) override {
    command_ = eval.add_subcommand(
        "babilong", "Questions about sentences hidden in long text (BABILong), by length");
    task_.describe(*command_, "tokens of a prompt, as 0,1024,4096; 0: the sentences alone")
        ->required();
    command_->add_option("--stories", stories_,
                         "files of the bAbI tasks qa1 to qa6, or folders with qa1_*_test.txt and "
                         "so on (longhaul stories writes such); default: of the run");
    text_.describe(*command_)->required(false);
    tokenizer_.describe(*command_);
    command_->add_option("--run", options.run,
                         "take stories, text and prompt from this run.yaml; default: those of the "
                         "run that the model lies in");
    prompts_option_ = command_->add_option(
        "--prompts", prompts_,
        "YAML with the words around the context, such as the benchmark's own (eval/README.md); "
        "default: of the run, else those built in");
    shots_option_ = command_->add_option("--shots", prompt_.shots,
                                         "worked examples before the context; default: of the "
                                         "run, else all (of those built in: as many as the "
                                         "benchmark shows)");
    shots_option_->check(whole_number(0));
    no_instruction_option_ = command_->add_flag("--no-instruction", no_instruction_,
                                                "do not say before the context what is to be done");
    command_
        ->add_option("--answer-tokens", answer_tokens_,
                     "tokens of an answer that are read; default: 20, of bytes 100")
        ->check(whole_number(1));
    options.describe(*command_);
    command_->footer(
        "Example:\n  longhaul eval babilong --model runs/zero/model --stories tasks/en-10k --data "
        "tokens --lengths 0,1024,4096,16384 --json runs/zero/evaluation/babilong.json");
  }
  bool chosen() const override { return command_->parsed(); }

  void prepare(const EvalOptions&, const std::optional<RunConfig>& run) override {
    if (run && run->data.kind == DataKind::kBabilong) {
      const DataSection& data = run->data;
      if (stories_.empty()) stories_.push_back(data.babilong.stories);
      if (text_.data.empty()) {
        text_.data = data.folder;
        text_.file = data.file;
      }
      if (prompts_option_->count() == 0) prompts_ = data.babilong.prompts;
      if (shots_option_->count() == 0) prompt_.shots = data.babilong.prompt.shots;
      if (no_instruction_option_->count() == 0) {
        no_instruction_ = !data.babilong.prompt.instruction;
      }
    }
    prompt_.instruction = !no_instruction_;
    prompt_.wording = read_babilong_wording(prompts_);
    const bool reads_text = std::any_of(task_.lengths.begin(), task_.lengths.end(),
                                        [](int64_t length) { return length > 0; });
    core::Problems problems;
    if (stories_.empty()) problems.push_back("--stories: is not given, and no run names stories");
    if (reads_text && text_.data.empty()) {
      problems.push_back("--data: is not given, expected text for lengths above 0");
    }
    if (!problems.empty()) throw core::InputError(problems);
  }

  void run(const EvalJob& job) override {
    tokenizer_.other = text_.other_tokenizer;
    const auto tokenizer = tokenizer_.make(job);
    std::unique_ptr<data::TokenData> tokens;
    std::unique_ptr<data::BackgroundText> background;
    if (!text_.data.empty()) {
      tokens = text_.open(job.model, job.options.model);
      background = std::make_unique<data::BackgroundText>(*tokens, *tokenizer);
    }
    if (answer_tokens_ == 0) answer_tokens_ = tokenizer->name() == "byte" ? 100 : 20;
    std::vector<std::unique_ptr<data::BabilongTask>> tasks;
    std::vector<std::unique_ptr<eval::AnswerScorer>> scorers;
    std::vector<eval::TaskPart> parts;
    for (const std::string& path : stories_) {
      for (const auto& file : data::find_babi_files(path, "test", data::kBabilongTasks)) {
        tasks.push_back(data::make_babilong_task(file, *tokenizer, background.get(), prompt_));
        scorers.push_back(
            eval::make_babilong_scorer(*tokenizer, tasks.back()->labels(), answer_tokens_));
        parts.push_back({tasks.back()->name(), *tasks.back(), *scorers.back()});
      }
    }
    eval::TaskOptions options = task_.resolve(job, "babilong");
    for (const std::string& path : stories_)
      options.continuation.notes.emplace_back("stories", path);
    if (!prompts_.empty()) options.continuation.notes.emplace_back("prompts", prompts_);
    if (!text_.data.empty()) options.continuation.notes.emplace_back("data", text_.data);
    write_and_print(job, evaluate_task(job.mesh, job.model, parts, options));
  }

 private:
  CLI::App* command_ = nullptr;
  CLI::Option* prompts_option_ = nullptr;
  CLI::Option* shots_option_ = nullptr;
  CLI::Option* no_instruction_option_ = nullptr;
  TaskCommandOptions task_;
  std::vector<std::string> stories_;
  std::string prompts_;
  TextOptions text_;
  TokenizerOptions tokenizer_;
  data::BabilongPrompt prompt_;
  bool no_instruction_ = false;
  int64_t answer_tokens_ = 0;
};

}  // namespace

std::unique_ptr<Measure> make_babilong_measure() { return std::make_unique<BabilongMeasure>(); }

}  // namespace longhaul::launch
