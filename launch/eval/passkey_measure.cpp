#include <CLI/CLI.hpp>

#include "data/tasks/passkey_task.h"
#include "launch/eval/task_options.h"

namespace longhaul::launch {

namespace {

class PasskeyMeasure : public Measure {
 public:
  void describe(CLI::App& eval, EvalOptions& options) override {
    command_ = eval.add_subcommand("passkey", "Finding a key of five digits, by length and depth");
    task_.describe(*command_, "tokens of a prompt, as 2048,4096,8192")->required();
    command_
        ->add_option("--depths", depths_,
                     "where the key is, from 0, before all other text, to 1, after it")
        ->delimiter(',')
        ->check(number_within(0, 1))
        ->capture_default_str();
    tokenizer_.describe(*command_);
    describe_other_tokenizer(*command_, tokenizer_.other);
    options.describe(*command_);
    command_->footer(
        "Example:\n  longhaul eval passkey --model runs/zero/model --lengths 2048,8192,32768 "
        "--trials 20 --json runs/zero/evaluation/passkey.json");
  }
  bool chosen() const override { return command_->parsed(); }

  void run(const EvalJob& job) override {
    const auto tokenizer = tokenizer_.make(job);
    const auto task = data::make_passkey_task(*tokenizer);
    const auto scorer = eval::make_passkey_scorer(*tokenizer);
    eval::TaskOptions options = task_.resolve(job, "passkey");
    expect_each_once("--depths", depths_);
    options.depths = depths_;
    write_and_print(job, evaluate_task(job.mesh, job.model, {{"", *task, *scorer}}, options));
  }

 private:
  CLI::App* command_ = nullptr;
  TaskCommandOptions task_;
  std::vector<double> depths_{0, 0.25, 0.5, 0.75, 1};
  TokenizerOptions tokenizer_;
};

}  // namespace

std::unique_ptr<Measure> make_passkey_measure() { return std::make_unique<PasskeyMeasure>(); }

}  // namespace longhaul::launch
