#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <string>
#include <utility>

#include "kernels/core/error.h"
#include "launch/command.h"
#include "launch/model_companions.h"
#include "launch/model_conversion.h"
#include "launch/output_place.h"
#include "model/checkpoint/gguf/gguf_file.h"
#include "model/checkpoint/gguf/gguf_tokenizer_files.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;

class ImportCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand("import", "Makes a model folder of another program's model");
    command_
        ->add_option(
            "--from", source_,
            "run, or folder of transformers, flash-linear-attention (Mamba-2) or state-spaces "
            "(config.json with model.safetensors or pytorch_model.bin), or GGUF file; "
            "recognised by what is in it")
        ->required();
    command_
        ->add_option("--out", output_,
                     "model folder to write; of a model that is there all is replaced")
        ->required();
    command_->add_option("--dtype", dtype_, "element type of the weights; auto: as they are")
        ->check(CLI::IsMember({"auto", "float32", "bfloat16", "float16"}))
        ->capture_default_str();
    command_->footer(
        "Tensors are converted one piece after another: memory does not grow with the model.\n"
        "Example:\n  longhaul import --from mamba2-130m --out base");
  }
  bool chosen() const override { return command_->parsed(); }

  int run(RankSession&) override {
    source_ = model::model_of(source_).string();
    if (fs::exists(output_) && fs::exists(source_) && fs::equivalent(source_, output_)) {
      throw core::InputError("--out: is what is imported itself, expected another folder");
    }
    expect_outside_of_runs(output_);
    const auto type = chosen_type(dtype_);
    const model::StoredModel stored = model::open_stored_model(source_);
    for (const std::string& line : stored.notes) note(line);
    ConversionProgress progress("import", stored.tensors, type);
    model::WriteOptions options;
    options.type = type;
    if (stored.format == model::ModelFormat::kGguf) {
      take_tokenizer(options);
    } else {
      options.companions = companions_of(source_);
      options.tokens = token_ids_of(source_);
    }
    options.obsolete = companion_names();
    options.progress = std::ref(progress);
    model::write_model_folder(stored.config, stored.tensors, output_, options);
    std::cout << output_ << ": " << elements_of(stored.tensors) << " parameters as "
              << types_of(stored.tensors, type) << ", from the " << model::name_of(stored.format)
              << " format" << std::endl;
    return kDone;
  }

 private:
  void take_tokenizer(model::WriteOptions& options) const {
    const model::GgufFile file(source_);
    model::GgufTokenizerFiles tokenizer = model::gguf_tokenizer_files(file.header(), source_);
    options.beside = std::move(tokenizer.files);
    options.tokens = tokenizer.ids;
    if (!tokenizer.missing.empty()) {
      note(core::message(source_, ": its tokenizer is left out: ", tokenizer.missing));
    }
  }

  static void note(const std::string& line) {
    std::cerr << "longhaul: note: " << line << std::endl;
  }

  CLI::App* command_ = nullptr;
  std::string source_, output_;
  std::string dtype_ = "auto";
};

}  // namespace

std::unique_ptr<Command> make_import_command() { return std::make_unique<ImportCommand>(); }

}  // namespace longhaul::launch
