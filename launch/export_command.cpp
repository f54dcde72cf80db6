#include <CLI/CLI.hpp>
#include <array>
#include <filesystem>
#include <iostream>
#include <string>

#include "kernels/core/error.h"
#include "launch/command.h"
#include "launch/command_options.h"
#include "model/checkpoint/model_folder.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;

/// What engines expect beside the weights; copied as it is where the source has it.
constexpr std::array kCompanions = {
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json",
    "merges.txt",     "generation_config.json"};

class ExportCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand("export", "Writes a model for other programs");
    command_->add_option("--model", model_, "model folder or training checkpoint")->required();
    command_
        ->add_option("--format", format_,
                     "hf: the Hugging Face layout (config.json, model.safetensors)")
        ->capture_default_str();
    command_->add_option("--out", output_, "folder to write")->required();
    command_->add_option("--store", store_, "element type of the weights")
        ->check(CLI::IsMember({"float32", "bfloat16", "float16"}))
        ->capture_default_str();
    command_->footer(
        "Example:\n  longhaul export --model runs/zero/model --format hf --store bfloat16 --out "
        "zero-hf");
  }
  bool chosen() const override { return command_->parsed(); }

  int run(RankSession&) override {
    if (format_ != "hf") {
      throw core::InputError(
          core::message("--format: found '", format_, "', this version writes: hf"));
    }
    if (fs::exists(output_) && fs::equivalent(model_, output_)) {
      throw core::InputError("--out: is the model folder itself, expected another folder");
    }
    core::Context context;
    const auto model = model::load_model(context, model_);
    model::save_model(*model, output_, {.dtype = store_});
    for (const char* name : kCompanions) {
      const fs::path source = fs::path(model_) / name;
      if (fs::is_regular_file(source)) {
        fs::copy_file(source, fs::path(output_) / name, fs::copy_options::overwrite_existing);
      }
    }
    std::cout << output_ << ": " << model->parameters().count() << " parameters as " << store_
              << std::endl;
    return kDone;
  }

 private:
  CLI::App* command_ = nullptr;
  std::string model_, output_;
  std::string format_ = "hf";
  std::string store_ = "float32";
};

}  // namespace

std::unique_ptr<Command> make_export_command() { return std::make_unique<ExportCommand>(); }

}  // namespace longhaul::launch
