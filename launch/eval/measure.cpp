#include "launch/eval/measure.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "kernels/core/error.h"
#include "launch/given_tokens.h"

namespace longhaul::launch {

void EvalOptions::describe(CLI::App& command) {
  command.add_option("--model", model, "run, model folder, training checkpoint or GGUF file")
      ->required();
  command.add_option("--json", json, "file for the result, which longhaul report reads");
  command.add_option("--initial-state", initial_state,
                     "what every sequence and prompt begins from: a file that longhaul export "
                     "--initial-state writes; default: zeros");
  command.add_option("--piece", piece, "tokens of a sequence read at a time")
      ->check(whole_number(1))
      ->capture_default_str();
  command.add_option("--batch", batch, "sequences read side by side")
      ->check(whole_number(1))
      ->capture_default_str();
  command
      .add_option("--sequence-ranks", sequence_ranks,
                  "ranks that share a sequence; the others take other sequences")
      ->check(whole_number(1))
      ->capture_default_str();
  command
      .add_option("--training-length", training_length,
                  "noted beside the result; default: that of the run the model lies in")
      ->check(whole_number(1));
  command.add_option("--seed", seed, "of the choice of sequences")
      ->check(whole_number(0))
      ->capture_default_str();
  compute.describe(command);
}

void SequenceOptions::describe(CLI::App& command) {
  command.add_option("--length", length, "tokens of a sequence")
      ->check(whole_number(1))
      ->required();
  constexpr int64_t kMost = int64_t{1} << 24;
  command.add_option("--sequences", sequences, "sequences")
      ->check(whole_number(1, kMost))
      ->required();
}

eval::CurveOptions SequenceOptions::resolve(const EvalJob& job) const {
  return {.length = length,
          .sequences = sequences,
          .piece = job.options.piece,
          .batch = job.options.batch,
          .training_length = job.training_length,
          .model = job.options.model,
          .seed = static_cast<uint64_t>(job.options.seed),
          .start = job.start,
          .continuation = job.continuation};
}

CLI::Option* TextOptions::describe(CLI::App& command) {
  CLI::Option* option =
      command
          .add_option("--data", data,
                      "token folder; or .npy, .bin (flat, llm.c, Megatron) or a folder of them")
          ->required();
  describe_token_files(command, file);
  describe_other_tokenizer(command, other_tokenizer);
  return option;
}

void TextOptions::describe_windows(CLI::App& command) {
  command
      .add_option("--windows", windows,
                  "where sequences of text begin, if enough documents are that long: with their "
                  "document | at a random place inside it")
      ->check(CLI::IsMember({"document", "inside"}))
      ->capture_default_str();
}

data::WindowBegin TextOptions::window_begin() const {
  return windows == "inside" ? data::WindowBegin::kInside : data::WindowBegin::kDocument;
}

std::unique_ptr<data::TokenData> TextOptions::open(const model::LanguageModel& model,
                                                   const std::string& model_name) const {
  data::TokenDataOptions of_files = file;
  if (of_files.vocabulary == 0) of_files.vocabulary = model.config().vocabulary;
  auto tokens = data::open_token_data(data, of_files);
  if (tokens->vocabulary() > model.config().vocabulary) {
    throw core::InputError(core::message(data, ": has a vocabulary of ", tokens->vocabulary(),
                                         ", the model ", model_name, " one of ",
                                         model.config().vocabulary));
  }
  expect_agreement(*tokens, file, {.vocabulary = "--vocabulary", .end = "--data-end"});
  if (!other_tokenizer) {
    expect_same_tokenizer({data, tokens->tokenizer()}, tokenizer_known_to(model_name),
                          "--other-tokenizer");
  }
  return tokens;
}

bool TextOptions::are_trained_on(const data::TokenData& tokens, const RunConfig& run) const {
  if (run.data.kind != DataKind::kTokens) return false;
  std::error_code error;
  if (std::filesystem::equivalent(run.data.folder, data, error)) return true;
  try {
    data::TokenDataOptions of_files = run.data.file;
    if (of_files.vocabulary == 0) of_files.vocabulary = tokens.vocabulary();
    return data::open_token_data(run.data.folder, of_files)->fingerprint() == tokens.fingerprint();
  } catch (const core::Error&) {
    return false;
  }
}

void publish(const EvalJob& job, const std::string& table,
             const std::function<void(const std::string& file)>& write) {
  if (!job.is_first) return;
  std::cout << table << std::flush;
  if (job.options.json.empty()) return;
  try {
    write(job.options.json);
  } catch (const core::Error& error) {
    throw core::Error(core::message(error.what(), "; what was measured is kept in ",
                                    job.continuation.file.string(),
                                    ", the same command writes it"));
  }
  eval::PartialResults::remove(job.continuation.file);
}

std::vector<std::unique_ptr<Measure>> make_measures() {
  std::vector<std::unique_ptr<Measure>> measures;
  measures.push_back(make_perplexity_measure());
  measures.push_back(make_recall_measure());
  measures.push_back(make_effrem_measure());
  measures.push_back(make_states_measure());
  for (auto& measure : make_task_measures()) measures.push_back(std::move(measure));
  return measures;
}

}  // namespace longhaul::launch
