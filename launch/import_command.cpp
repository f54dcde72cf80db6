#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <string>

#include "kernels/core/error.h"
#include "launch/command.h"
#include "launch/model_conversion.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;

class ImportCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand("import", "Makes a model folder of another program's model");
    command_
        ->add_option("--from", source_,
                     "folder of transformers, flash-linear-attention (Mamba-2) or state-spaces "
                     "(config.json with model.safetensors or pytorch_model.bin), or GGUF file; "
                     "recognised by what is in it")
        ->required();
    command_->add_option("--out", output_, "model folder to write")->required();
    command_->add_option("--dtype", dtype_, "element type of the weights; auto: as they are")
        ->check(CLI::IsMember({"auto", "float32", "bfloat16", "float16"}))
        ->capture_default_str();
    command_->footer(
        "Tensors are converted one piece after another: memory does not grow with the model.\n"
        "Example:\n  longhaul import --from mamba2-130m --out base");
  }
  bool chosen() const override { return command_->parsed(); }

  int run(RankSession&) override {
    if (fs::exists(output_) && fs::exists(source_) && fs::equivalent(source_, output_)) {
      throw core::InputError("--out: is what is imported itself, expected another folder");
    }
    const auto type = chosen_type(dtype_);
    const model::StoredModel stored = model::open_stored_model(source_);
    ConversionProgress progress("import", stored.tensors, type);
    model::WriteOptions options;
    options.type = type;
    options.companions = companions_of(source_);
    options.tokens = token_ids_of(source_);
    options.progress = std::ref(progress);
    model::write_model_folder(stored.config, stored.tensors, output_, options);
    std::cout << output_ << ": " << elements_of(stored.tensors) << " parameters as "
              << types_of(stored.tensors, type) << ", from the " << model::name_of(stored.format)
              << " format" << std::endl;
    return kDone;
  }

 private:
  CLI::App* command_ = nullptr;
  std::string source_, output_;
  std::string dtype_ = "auto";
};

}  // namespace

std::unique_ptr<Command> make_import_command() { return std::make_unique<ImportCommand>(); }

}  // namespace longhaul::launch
