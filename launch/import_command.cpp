#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/error.h"
#include "launch/command.h"
#include "launch/command_options.h"
#include "launch/model_companions.h"
#include "launch/model_conversion.h"
#include "launch/output_place.h"
#include "model/checkpoint/element_conversion.h"
#include "model/checkpoint/gguf/gguf_file.h"
#include "model/checkpoint/gguf/gguf_tokenizer_files.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;

/// Looks at weights while they are read for writing.
class FiniteCheck {
 public:
  /// `tensors` as they are, each piece counted as it is read; this must outlive them.
  std::vector<model::TensorStream> watched(std::vector<model::TensorStream> tensors) {
    counts_.assign(tensors.size(), 0);
    for (size_t i = 0; i < tensors.size(); ++i) {
      tensors[i].read = [&count = counts_[i], read = std::move(tensors[i].read),
                         type = tensors[i].type](int64_t begin, int64_t elements, void* target) {
        read(begin, elements, target);
        count += model::count_not_finite(target, type, elements);
      };
    }
    return tensors;
  }

  /// "" where all are finite.
  std::string found_in(const std::vector<model::TensorStream>& tensors) const {
    int64_t values = 0, bad = 0;
    std::string first;
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (counts_[i] == 0) continue;
      if (first.empty()) first = tensors[i].origin;
      values += counts_[i];
      ++bad;
    }
    if (bad == 0) return "";
    return core::message(first, bad > 1 ? core::message(" and ", bad - 1, " more") : "",
                         ": NaN or infinite in ", values, values > 1 ? " places" : " place");
  }

 private:
  std::vector<int64_t> counts_;
};

class ImportCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand("import", "Makes a model folder of another program's model");
    command_
        ->add_option("--from", source_,
                     "run, or folder of transformers, flash-linear-attention (Mamba, Mamba-2) or "
                     "state-spaces "
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
    FiniteCheck check;
    model::write_model_folder(stored.config, check.watched(stored.tensors), output_, options);
    std::cout << output_ << ": " << elements_of(stored.tensors) << " parameters as "
              << types_of(stored.tensors, type) << ", from the " << model::name_of(stored.format)
              << " format" << std::endl;
    const std::string not_finite = check.found_in(stored.tensors);
    if (!not_finite.empty()) note(not_finite);
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

  CLI::App* command_ = nullptr;
  std::string source_, output_;
  std::string dtype_ = "auto";
};

}  // namespace

std::unique_ptr<Command> make_import_command() { return std::make_unique<ImportCommand>(); }

}  // namespace longhaul::launch
