#include "launch/eval/task_options.h"

#include "launch/given_tokens.h"
#include "launch/model_tokenizer.h"

namespace longhaul::launch {

CLI::Option* TaskCommandOptions::describe(CLI::App& command, const std::string& help) {
  command.add_option("--trials", trials, "trials of each kind")
      ->check(whole_number(1))
      ->capture_default_str();
  return command.add_option("--lengths", lengths, help)->delimiter(',')->check(whole_number(0));
}

eval::TaskOptions TaskCommandOptions::resolve(const EvalJob& job, const std::string& task) const {
  expect_each_once("--lengths", lengths);
  return {.task = task,
          .lengths = lengths,
          .trials = trials,
          .piece = job.options.piece,
          .batch = job.options.batch,
          .seed = static_cast<uint64_t>(job.options.seed),
          .model = job.options.model,
          .training_length = job.training_length,
          .start = job.start,
          .continuation = job.continuation};
}

void TokenizerOptions::describe(CLI::App& command) {
  command.add_option("--tokenizer", specification,
                     "byte, a tokenizer.json, a tokenizer.model, or a folder with one of them; "
                     "default: the one beside the model");
}

std::unique_ptr<data::Tokenizer> TokenizerOptions::make(const EvalJob& job) const {
  const int64_t vocabulary = job.model.config().vocabulary;
  const std::string chosen =
      specification.empty() ? tokenizer_of_model(job.options.model, vocabulary) : specification;
  auto tokenizer = data::make_tokenizer(chosen);
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

void write_and_print(const EvalJob& job, const eval::TaskResult& result) {
  publish(job, eval::format_table(result),
          [&](const std::string& file) { eval::write_task_result(file, result); });
}

}  // namespace longhaul::launch
