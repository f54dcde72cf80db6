#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/token_folder.h"
#include "data/tokenizer.h"
#include "kernels/core/error.h"
#include "launch/command.h"
#include "launch/command_options.h"
#include "launch/given_tokens.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::message;

class DetokenizeCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand(
        "detokenize", "Turns tokens back into text, a JSON record for each document");
    command_->add_option("--tokenizer", tokenizer_,
                         "byte, a tokenizer.json, a tokenizer.model, or a folder with one of them; "
                         "default: the one kept in the token folder, else byte");
    describe_other_tokenizer(*command_, other_tokenizer_);
    command_
        ->add_option("data", data_,
                     "token folder; or .npy, .bin (flat, llm.c, Megatron) or a folder of them")
        ->required();
    describe_token_files(*command_, options_);
    command_->add_option("--first", first_, "number of the first document")
        ->check(whole_number(0))
        ->capture_default_str();
    command_->add_option("--documents", most_, "so many documents; 0: all")
        ->check(whole_number(0))
        ->capture_default_str();
    command_->footer("Example:\n  longhaul detokenize --tokenizer my_model --documents 3 tokens");
  }
  bool chosen() const override { return command_->parsed(); }

  int run(RankSession&) override {
    if (tokenizer_.empty()) tokenizer_ = kept_tokenizer();
    const auto tokenizer = make_given_tokenizer("--tokenizer", tokenizer_);
    const data::TokenDataOptions given = options_;
    if (options_.vocabulary == 0) options_.vocabulary = tokenizer->vocabulary();
    const auto data = data::open_token_data(data_, options_);
    expect_agreement(*data, given, {.vocabulary = "--vocabulary", .end = "--data-end"});
    if (!other_tokenizer_) {
      expect_same_tokenizer({data_, data->tokenizer()}, {"--tokenizer", tokenizer->name()},
                            "--other-tokenizer");
    }
    if (data->vocabulary() > tokenizer->vocabulary()) {
      throw core::InputError(message(data_, ": has a vocabulary of ", data->vocabulary(),
                                     ", the tokenizer '", tokenizer_, "' one of ",
                                     tokenizer->vocabulary()));
    }
    if (first_ > 0 && first_ >= data->documents()) {
      throw core::InputError(message("--first: is ", first_, ", expected 0 to ",
                                     data->documents() - 1, " (documents in ", data_, ": ",
                                     data->documents(), ")"));
    }
    const int64_t end =
        most_ == 0 ? data->documents() : std::min(data->documents(), first_ + most_);
    std::vector<int32_t> tokens;
    for (int64_t document = first_; document < end; ++document) {
      const int64_t begin = data->document_begin(document);
      tokens.resize(static_cast<size_t>(data->document_begin(document + 1) - begin));
      data->read(begin, tokens);
      if (!tokens.empty() && tokens.back() == tokenizer->end_of_document()) tokens.pop_back();
      const nlohmann::json record{{"text", tokenizer->text(tokens)}};
      std::cout << record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
      if (!std::cout) throw core::Error("standard output: cannot be written");
    }
    std::cout << std::flush;
    return kDone;
  }

 private:
  std::string kept_tokenizer() const {
    const fs::path kept = data::kept_tokenizer(data_);
    return kept.empty() ? "byte" : kept.string();
  }

  CLI::App* command_ = nullptr;
  std::string tokenizer_, data_;
  bool other_tokenizer_ = false;
  data::TokenDataOptions options_;
  int64_t first_ = 0, most_ = 0;
};

}  // namespace

std::unique_ptr<Command> make_detokenize_command() { return std::make_unique<DetokenizeCommand>(); }

}  // namespace longhaul::launch
