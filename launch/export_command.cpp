#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "data/token_folder.h"
#include "kernels/core/error.h"
#include "launch/command.h"
#include "launch/command_options.h"
#include "launch/given_tokens.h"
#include "launch/learned_state.h"
#include "launch/model_card.h"
#include "launch/model_companions.h"
#include "launch/model_conversion.h"
#include "launch/model_tokenizer.h"
#include "launch/output_place.h"
#include "launch/run_folder.h"
#include "model/checkpoint/byte_tokenizer.h"
#include "model/checkpoint/gguf/gguf_model.h"
#include "model/checkpoint/model_folder.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::InputError;
using core::message;

class ExportCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand("export", "Writes a model for other programs");
    command_->add_option("--model", model_, "run, model folder, training checkpoint, or GGUF file")
        ->required();
    command_
        ->add_option("--format", format_,
                     "hf: the Hugging Face layout, for transformers and vLLM | state-spaces: "
                     "mamba_ssm's pytorch_model.bin | state-spaces-safetensors | gguf: one file, "
                     "for llama.cpp")
        ->check(CLI::IsMember({"hf", "state-spaces", "state-spaces-safetensors", "gguf"}))
        ->capture_default_str();
    command_
        ->add_option("--out", output_,
                     "folder (gguf: file) to write; hf: of a model that is there all is replaced, "
                     "its tokenizer and card too")
        ->required();
    command_
        ->add_option("--dtype", dtype_,
                     "element type of the weights: auto (as they are) | float32 | bfloat16 | "
                     "float16 | q8_0 (gguf only)")
        ->check(CLI::IsMember({"auto", "float32", "bfloat16", "float16", "q8_0"}))
        ->capture_default_str();
    command_
        ->add_option("--shard-bytes", shard_bytes_, "hf: larger weights are split into files of it")
        ->check(whole_number(1))
        ->capture_default_str();
    command_->add_option(
        "--tokenizer", tokenizer_,
        "folder with the tokenizer's files | byte: of longhaul tokenize --tokenizer "
        "byte | none (token ids only); default: the model's, or its base model's, or byte where it "
        "was trained on such tokens");
    describe_other_tokenizer(*command_, other_tokenizer_);
    command_->add_option("--pre-tokenizer", pre_tokenizer_,
                         "gguf: llama.cpp's name of the pre-tokenizer; default: found by its "
                         "pattern");
    auto* card = command_->add_flag(
        "--card", card_,
        "write README.md, a model card, with state-spaces too (hf always has one)");
    command_->add_flag("--no-card", no_card_, "do not write README.md")->excludes(card);
    command_->add_option("--initial-state", state_source_,
                         "also write the learned initial state, beside the weights: the mean final "
                         "state over a token folder's sequences, or (a run is given) of the states "
                         "that the run hands on");
    command_
        ->add_option("--state-length", state_.length, "tokens of a sequence, for --initial-state")
        ->check(whole_number(1))
        ->capture_default_str();
    command_->add_option("--state-sequences", state_.sequences, "sequences, for --initial-state")
        ->check(whole_number(1))
        ->capture_default_str();
    command_->footer(
        "Example:\n  longhaul export --model runs/zero --format hf --dtype bfloat16 --out zero-hf");
  }
  bool chosen() const override { return command_->parsed(); }

  int run(RankSession&) override {
    const fs::path source = model::model_of(model_);
    if (fs::exists(output_) && fs::exists(source) && fs::equivalent(source, output_)) {
      throw InputError("--out: is the model itself, expected another folder");
    }
    expect_outside_of_runs(output_);
    if (format_ == "gguf") expect_gguf_or_nothing(output_);
    if (dtype_ == "q8_0" && format_ != "gguf") {
      throw InputError(message("--dtype: q8_0 is there for gguf only, --format is ", format_));
    }
    const model::StoredModel stored = model::open_stored_model(source);
    for (const std::string& line : stored.notes) note(line);
    // Learned before anything is written, so that a refusal leaves nothing behind.
    core::Context context;
    std::unique_ptr<model::LanguageModel> whole;
    LearnedState state;
    if (!other_tokenizer_) check_tokenizer(source);
    if (!state_source_.empty()) {
      whole = model::load_model(context, source);
      state = learn_state(*whole, state_source_, state_);
    }
    const std::string types =
        format_ == "gguf" ? write_gguf(stored, source) : write_folder(stored, source);
    std::cout << output_ << ": " << elements_of(stored.tensors) << " parameters as " << types
              << std::endl;
    if (lacks_tokenizer_) {
      std::cout << output_ << ": no tokenizer was written, as " << source.string()
                << " has none; give --tokenizer FOLDER, or --tokenizer byte where tokens are bytes"
                << std::endl;
    }
    if (whole != nullptr) {
      write_state(*whole, state);
    } else if (format_ == "gguf" && remove_learned_state(state_file())) {
      note(message(state_file().string(), ": was another model's, and is removed"));
    }
    return kDone;
  }

 private:
  /// Of the tokens that are learned from, and of the tokenizer that is to be written.
  void check_tokenizer(const fs::path& source) const {
    const NamedTokenizer known = tokenizer_known_to(source);
    constexpr const char* kEscape = "--other-tokenizer";
    expect_same_tokenizer({state_source_, data::recorded_tokenizer(state_source_)}, known, kEscape);
    if (tokenizer_.empty() || tokenizer_ == "none") return;
    const fs::path file = data::find_tokenizer(tokenizer_);
    const std::string name = file.empty() ? tokenizer_ : data::name_of_tokenizer_file(file);
    expect_same_tokenizer({"--tokenizer", name}, known, kEscape);
  }

  fs::path state_file() const {
    if (format_ != "gguf") return fs::path(output_) / kLearnedStateFile;
    return fs::path(output_).replace_extension(kLearnedStateFile);
  }

  void write_state(const model::LanguageModel& model, const LearnedState& state) const {
    const fs::path file = state_file();
    write_learned_state(file, model, state);
    std::cout << file.string() << ": " << state.origin << "\n";
    if (format_ == "gguf") {
      std::cout << "llama.cpp has no way to start from it; longhaul has (--initial-state)\n";
    } else {
      std::cout << how_to_load(output_, kLearnedStateFile, model.config());
    }
    std::cout << std::flush;
  }

  std::string write_folder(const model::StoredModel& stored, const fs::path& source) {
    const auto type = chosen_type(dtype_);
    ConversionProgress progress("export", stored.tensors, type);
    model::WriteOptions options;
    options.type = type;
    options.shard_bytes = shard_bytes_;
    choose_tokenizer(stored, source, options);
    if (format_ == "hf") complete_for_transformers(options);
    options.obsolete = companion_names();
    const auto run = run_of(source);
    if (card_ && !run) throw InputError(message("--card: ", source.string(), " lies in no run"));
    if (run && !no_card_ && (card_ || format_ == "hf")) {
      options.beside.push_back(
          {"README.md", card_text(stored, source, *run, types_of(stored.tensors, type))});
    }
    options.progress = std::ref(progress);
    if (format_ == "hf") {
      const auto problems = model::beyond_transformers(stored.config);
      if (!problems.empty()) throw InputError(problems);
      if (stored.config.groups > 1) {
        note(message(
            "transformers before 5.23 norms all ", stored.config.groups,
            " groups of a gated norm as one, mamba_ssm, vLLM and llama.cpp each: expect other "
            "results in them"));
      }
      model::write_model_folder(stored.config, stored.tensors, output_, options);
    } else {
      const auto container = format_ == "state-spaces" ? model::StateSpacesContainer::kTorch
                                                       : model::StateSpacesContainer::kSafetensors;
      model::write_state_spaces_folder(stored.config, stored.tensors, output_, container, options);
    }
    return types_of(stored.tensors, type);
  }

  void choose_tokenizer(const model::StoredModel& stored, const fs::path& source,
                        model::WriteOptions& options) {
    if (wants_bytes(source)) {
      model::byte_gguf_tokenizer(stored.config.vocabulary);  // refuses a vocabulary too small
      options.beside.push_back({"tokenizer.json", model::byte_tokenizer_json()});
      options.beside.push_back({"tokenizer_config.json", model::byte_tokenizer_config_json()});
      const std::string end = std::to_string(model::kByteEndOfDocument);
      options.tokens = {.pad = end, .bos = end, .eos = end};
      return;
    }
    const bool wants_none = tokenizer_ == "none";
    const fs::path folder = wants_none ? source : tokenizer_folder(source);
    const bool has_none = wants_none || data::find_tokenizer(folder).empty();
    const auto run = run_of(source);
    const bool is_of_run = run && (has_none || run_of(folder) == run ||
                                   fs::weakly_canonical(folder) == *run / kRunTokenizer);
    options.tokens = is_of_run ? token_ids_of_run(*run, source) : token_ids_of(folder);
    if (wants_none) return;
    if (has_none) {
      refuse_unless_bytes(source);
    } else {
      expect_room_for(data::find_tokenizer(folder), stored.config.vocabulary);
    }
    options.companions = companions_of(folder);
    lacks_tokenizer_ = has_none && format_ == "hf";
  }

  std::string card_text(const model::StoredModel& stored, const fs::path& source,
                        const fs::path& run, const std::string& types) const {
    const fs::path output = fs::weakly_canonical(output_);
    const fs::path folder = output.has_filename() ? output : output.parent_path();
    ModelCard card{.name = folder.filename().string(),
                   .run = run,
                   .folder = source,
                   .stored = stored,
                   .library = format_ == "hf" ? "transformers" : "mamba-ssm",
                   .types = types,
                   .initial_state = ""};
    if (!state_source_.empty()) {
      card.initial_state = how_to_load(folder, kLearnedStateFile, stored.config);
    }
    return model_card(card);
  }

  std::string write_gguf(const model::StoredModel& stored, const fs::path& source) {
    ConversionProgress progress("export", stored.tensors, std::nullopt);
    model::GgufOptions options;
    options.type = gguf_type(stored);
    options.name = fs::weakly_canonical(fs::path(output_)).stem().string();
    options.tokenizer = gguf_tokenizer(stored.config, source);
    for (const std::string& line : options.tokenizer.notes) note(line);
    options.progress = std::ref(progress);
    model::write_gguf_model(stored.config, stored.tensors, output_, options);
    return model::name_of(options.type);
  }

  model::GgufTensorType gguf_type(const model::StoredModel& stored) const {
    if (dtype_ == "q8_0") return model::GgufTensorType::kQ8;
    switch (chosen_type(dtype_).value_or(stored.tensors.front().type)) {
      case model::StoredType::kF16:
        return model::GgufTensorType::kF16;
      case model::StoredType::kBF16:
        return model::GgufTensorType::kBF16;
      default:
        return model::GgufTensorType::kF32;
    }
  }

  model::GgufTokenizer gguf_tokenizer(const model::ModelConfig& config,
                                      const fs::path& source) const {
    if (tokenizer_ == "none") return {};
    if (wants_bytes(source)) return model::byte_gguf_tokenizer(config.vocabulary);
    const fs::path folder = tokenizer_folder(source), file = data::find_tokenizer(folder);
    if (file.empty()) {
      refuse_unless_bytes(source);
      throw InputError(message(folder.string(),
                               ": holds no tokenizer.json and no tokenizer.model; give --tokenizer "
                               "FOLDER, byte, or none "
                               "(then llama.cpp takes token ids only)"));
    }
    if (is_byte_tokenizer(data::name_of_tokenizer_file(file))) {
      model::GgufTokenizer tokenizer = model::byte_gguf_tokenizer(config.vocabulary);
      model::read_chat_template(folder, tokenizer);
      return tokenizer;
    }
    return model::read_gguf_tokenizer(folder, config.vocabulary, pre_tokenizer_);
  }

  /// Also where no file says so, but what the model was trained on.
  bool wants_bytes(const fs::path& source) const {
    if (!tokenizer_.empty()) return tokenizer_ == "byte";
    return data::find_tokenizer(folder_with_tokenizer(source)).empty() &&
           is_byte_tokenizer(tokens_of_model(source));
  }

  /// Where no tokenizer is at hand.
  void refuse_unless_bytes(const fs::path& source) const {
    const std::string name = tokens_of_model(source);
    if (!tokenizer_.empty() || name.empty() || name == "byte") return;
    throw InputError(message(source.string(), ": was trained on tokens of '", name,
                             "', which is not kept with it; expected its folder as --tokenizer, "
                             "or none (then token ids only)"));
  }

  fs::path tokenizer_folder(const fs::path& source) const {
    if (!tokenizer_.empty()) {
      if (!fs::is_directory(tokenizer_)) {
        throw InputError(
            message("--tokenizer: found '", tokenizer_, "', expected a folder", ", byte or none"));
      }
      return tokenizer_;
    }
    return folder_with_tokenizer(source);
  }

  CLI::App* command_ = nullptr;
  std::string model_, output_, tokenizer_, pre_tokenizer_, state_source_;
  LearnedStateOptions state_{.length = 2048};
  bool card_ = false, no_card_ = false, lacks_tokenizer_ = false, other_tokenizer_ = false;
  std::string format_ = "hf", dtype_ = "auto";
  int64_t shard_bytes_ = int64_t{5} << 30;
};

}  // namespace

std::unique_ptr<Command> make_export_command() { return std::make_unique<ExportCommand>(); }

}  // namespace longhaul::launch
