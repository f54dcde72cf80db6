#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "data/tokenizer.h"
#include "data/utf8.h"
#include "eval/piece_run.h"
#include "kernels/core/error.h"
#include "launch/command.h"
#include "launch/command_options.h"
#include "launch/forward_files.h"
#include "launch/given_tokens.h"
#include "launch/model_tokenizer.h"
#include "launch/token_choice.h"
#include "model/checkpoint/model_folder.h"

namespace longhaul::launch {

namespace {

using core::DType;
using core::InputError;
using core::message;
using core::Tensor;

constexpr int64_t kPiece = 512;  // tokens of the prompt read at a time

/// A model that reads tokens one after another; its memory does not grow with their number.
class StateReader {
 public:
  StateReader(model::LanguageModel& model, model::RecurrentState initial)
      : model_(model), entering_(std::move(initial)), leaving_(model.make_state(1)) {
    // Rounded to bf16 the best of them would often be equal.
    logits_ =
        Tensor(model.context(), core::state_dtype(model.dtype()), {1, model.config().vocabulary});
  }

  void read(const int32_t* tokens, int64_t count) {
    const core::TensorView view(const_cast<int32_t*>(tokens), DType::kI32, {1, count});
    const Tensor input = Tensor::copy_of(model_.context(), view);
    model::ForwardPass pass;
    pass.tokens = input;
    pass.initial = &entering_;
    pass.final_state = &leaving_;
    pass.last_logits = logits_;
    model_.forward(pass);
    std::swap(entering_, leaving_);
  }

  void read_prompt(const std::vector<int32_t>& prompt) {
    const auto count = static_cast<int64_t>(prompt.size());
    for (int64_t begin = 0; begin < count; begin += kPiece) {
      read(prompt.data() + begin, std::min(kPiece, count - begin));
    }
  }

  std::vector<double> logits(int64_t count) const {
    std::vector<double> values = eval::doubles_of(model_.context(), logits_);
    values.resize(static_cast<size_t>(count));
    return values;
  }

 private:
  model::LanguageModel& model_;
  model::RecurrentState entering_, leaving_;
  Tensor logits_;
};

class GenerateCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand("generate", "Continues a prompt from a constant-size state");
    command_->add_option("--model", model_, "run, model folder, training checkpoint or GGUF file")
        ->required();
    auto* text = command_->add_option("--prompt", prompt_, "text to continue");
    command_
        ->add_option("--prompt-file", prompt_file_,
                     "file whose text is continued; -: standard input")
        ->excludes(text);
    command_
        ->add_option("--prompt-ids", prompt_ids_,
                     "token numbers to continue, as 5,0,17; numbers come out, and none ends the "
                     "text")
        ->delimiter(',')
        ->excludes(text)
        ->excludes("--prompt-file");
    command_->add_option("--initial-state", initial_,
                         "safetensors with the state to start from, as longhaul export "
                         "--initial-state writes it; default: zeros");
    command_->add_option("--tokenizer", tokenizer_,
                         "byte, a tokenizer.json, a tokenizer.model, or a folder with one of them; "
                         "default: the one beside the model");
    describe_other_tokenizer(*command_, other_tokenizer_);
    command_->add_option("--end-of-document", end_of_document_,
                         "token that ends the text; default: what the tokenizer's files say");
    command_->add_option("--tokens", tokens_, "most tokens to generate")
        ->check(whole_number(0))
        ->capture_default_str();
    command_->add_option("--temperature", choice_.temperature, "0: always the most likely token")
        ->check(number_within(0, std::numeric_limits<double>::max()))
        ->capture_default_str();
    command_->add_option("--top-k", choice_.top_k, "choose among so many; 0: all")
        ->check(whole_number(0))
        ->capture_default_str();
    command_->add_option("--seed", choice_.seed, "of the random choices")
        ->check(whole_number(0))
        ->capture_default_str();
    compute_.describe(*command_);
    command_->footer(
        "Example:\n  longhaul generate --model runs/zero/model --prompt 'The kernel' --tokens 200 "
        "--temperature 0.8");
  }
  bool chosen() const override { return command_->parsed(); }

  int run(RankSession& session) override {
    if (!prompt_ids_.empty()) return continue_ids(session);
    if (tokenizer_.empty())
      tokenizer_ = tokenizer_of_model(model_, model::read_model_config(model_).vocabulary);
    const auto tokenizer = make_given_tokenizer("--tokenizer", tokenizer_, end_of_document_);
    if (!other_tokenizer_) {
      expect_same_tokenizer({"--tokenizer", tokenizer->name()}, tokenizer_known_to(model_),
                            "--other-tokenizer");
    }
    const std::string text = prompt_text();
    const std::vector<int32_t> prompt = tokens_of(text, *tokenizer);

    core::Context context = make_context(compute_, session);
    const auto model = model::load_model(context, model_, compute_.element_type());
    if (model->config().vocabulary < tokenizer->vocabulary()) {
      throw InputError(message(model_, ": has a vocabulary of ", model->config().vocabulary,
                               ", the tokenizer '", tokenizer_, "' needs ",
                               tokenizer->vocabulary()));
    }
    StateReader reader(*model, initial_state(*model));
    reader.read_prompt(prompt);
    write_whole(text, reader, *tokenizer);
    return kDone;
  }

 private:
  /// Without a tokenizer: whatever numbers mean, these follow.
  int continue_ids(RankSession& session) const {
    core::Context context = make_context(compute_, session);
    const auto model = model::load_model(context, model_, compute_.element_type());
    const int64_t vocabulary = model->config().vocabulary;
    for (const int32_t id : prompt_ids_) {
      if (id < 0 || id >= vocabulary) {
        throw InputError(message("--prompt-ids: found ", id, ", expected 0 to ", vocabulary - 1));
      }
    }
    StateReader reader(*model, initial_state(*model));
    reader.read_prompt(prompt_ids_);
    for (int64_t i = 0; i < tokens_; ++i) {
      const int32_t token = choose_token(reader.logits(vocabulary), choice_, i);
      std::cout << (i > 0 ? " " : "") << token << std::flush;
      if (!std::cout) throw core::Error("standard output: cannot be written");
      reader.read(&token, 1);
    }
    std::cout << std::endl;
    return kDone;
  }

  model::RecurrentState initial_state(model::LanguageModel& model) const {
    return initial_.empty() ? model.make_state(1) : read_states(initial_, model, 1);
  }

  std::vector<int32_t> tokens_of(const std::string& text, const data::Tokenizer& tokenizer) const {
    std::vector<int32_t> prompt = tokenizer.frame().before;
    tokenizer.encode(text, prompt);
    // Nothing to continue: start as a document does, after the end of another.
    if (prompt.empty()) prompt.push_back(tokenizer.end_of_document());
    return prompt;
  }

  /// The prompt and each token as it comes, but no half of a character: the prompt may end in one.
  void write_whole(const std::string& text, StateReader& reader,
                   const data::Tokenizer& tokenizer) const {
    data::Utf8Joiner joiner;
    const auto show = [](const std::string& text) {
      std::cout << text << std::flush;
      if (!std::cout) throw core::Error("standard output: cannot be written");
    };
    show(joiner.add(text));
    for (int64_t i = 0; i < tokens_; ++i) {
      const int32_t token = choose_token(reader.logits(tokenizer.vocabulary()), choice_, i);
      if (token == tokenizer.end_of_document()) break;
      show(joiner.add(tokenizer.decode(token)));
      reader.read(&token, 1);
    }
    show(joiner.finish() + "\n");
  }

  std::string prompt_text() const {
    if (prompt_file_.empty()) return prompt_;
    if (prompt_file_ == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
    std::ifstream file(prompt_file_, std::ios::binary);
    file.peek();  // sets bad() for a folder
    if (!file.is_open() || file.bad())
      throw InputError(message(prompt_file_, ": cannot be read, expected a text file"));
    file.clear();
    return {std::istreambuf_iterator<char>(file), {}};
  }

  CLI::App* command_ = nullptr;
  std::string model_, prompt_, prompt_file_, initial_;
  std::vector<int32_t> prompt_ids_;
  std::string tokenizer_, end_of_document_;
  bool other_tokenizer_ = false;
  int64_t tokens_ = 100;
  TokenChoice choice_;
  ComputeOptions compute_;
};

}  // namespace

std::unique_ptr<Command> make_generate_command() { return std::make_unique<GenerateCommand>(); }

}  // namespace longhaul::launch
