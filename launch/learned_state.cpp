#include "launch/learned_state.h"

#include <algorithm>

#include "data/token_folder.h"
#include "kernels/core/error.h"
#include "model/checkpoint/safetensors.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::InputError;
using core::message;

constexpr const char* kOrigin = "origin";  // in the file's metadata
constexpr int64_t kPiece = 2048;           // tokens read at a time

LearnedState zeros(const model::LanguageModel& model) {
  LearnedState state;
  for (const auto& spec : model.state_specs()) {
    state.values.emplace_back(static_cast<size_t>(spec.shape.elements()), 0.0);
  }
  return state;
}

/// Adds `share` times every sequence of a host tensor [sequences, …].
void add_rows(const core::TensorView& rows, double share, std::vector<double>& sum) {
  const auto add = [&](const auto* values) {
    for (int64_t i = 0; i < rows.elements(); ++i) {
      sum[static_cast<size_t>(i) % sum.size()] += share * static_cast<double>(values[i]);
    }
  };
  if (rows.dtype() == core::DType::kF64) {
    add(rows.data<double>());
  } else {
    add(rows.data<float>());
  }
}

model::RecurrentState final_state(model::LanguageModel& model, const data::TokenFolder& tokens,
                                  int64_t begin, int64_t length) {
  model::RecurrentState entering = model.make_state(1), leaving = model.make_state(1);
  std::vector<int32_t> piece;
  for (int64_t at = 0; at < length; at += kPiece) {
    piece.resize(static_cast<size_t>(std::min(kPiece, length - at)));
    tokens.read(begin + at, piece);
    model::ForwardPass pass;
    pass.tokens =
        core::TensorView(piece.data(), core::DType::kI32, {1, static_cast<int64_t>(piece.size())});
    pass.initial = &entering;
    pass.final_state = &leaving;
    model.forward(pass);
    std::swap(entering, leaving);
  }
  return entering;
}

LearnedState mean_over_tokens(model::LanguageModel& model, const fs::path& source,
                              const LearnedStateOptions& options) {
  const data::TokenFolder tokens(source);
  if (tokens.vocabulary() > model.config().vocabulary) {
    throw InputError(message(source.string(), ": has a vocabulary of ", tokens.vocabulary(),
                             ", the model one of ", model.config().vocabulary));
  }
  if (tokens.tokens() < options.length) {
    throw InputError(message(source.string(), ": has ", tokens.tokens(),
                             " tokens, expected at least --state-length ", options.length));
  }
  const int64_t count = std::min(options.sequences, tokens.tokens() / options.length);
  LearnedState state = zeros(model);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = count == 1 ? 0 : (tokens.tokens() - options.length) / (count - 1) * i;
    const auto left = final_state(model, tokens, begin, options.length);
    for (size_t part = 0; part < left.size(); ++part) {
      add_rows(left[part], 1.0 / static_cast<double>(count), state.values[part]);
    }
  }
  state.origin = message("mean final state over ", count, " sequences of ", options.length,
                         " tokens, each read from zeros");
  return state;
}

/// What the sources of a checkpoint's data ranks hold: PREFIX.ssm.0 [rows, …] and so on.
LearnedState mean_of_run(const model::LanguageModel& model, const fs::path& run) {
  const auto step = trainer::newest_checkpoint(run);
  if (!step) throw InputError(message(run.string(), ": has no checkpoint"));
  const fs::path folder = run / "checkpoints" / message("step-", *step);
  LearnedState state = zeros(model);
  int64_t rows = 0;
  for (int rank = 0;; ++rank) {
    const fs::path path = folder / message("sources-", rank, ".safetensors");
    if (!fs::exists(path)) break;
    const model::SafetensorsFile file(path);
    for (const auto& stored : file.tensors()) {
      for (size_t i = 0; i < state.values.size(); ++i) {
        const auto& spec = model.state_specs()[i];
        if (!stored.name.ends_with("." + spec.name) || stored.shape.rank() < 1 ||
            !(stored.shape == spec.shape.with_front(stored.shape[0]))) {
          continue;
        }
        std::vector<double> values(static_cast<size_t>(stored.shape.elements()));
        const core::TensorView view(values.data(), core::DType::kF64, stored.shape);
        file.read_as(stored, view);
        add_rows(view, 1.0, state.values[i]);
        if (i == 0) rows += stored.shape[0];
      }
    }
  }
  if (rows == 0) {
    throw InputError(message(folder.string(),
                             ": holds no states: expected a run with initial_state.source: "
                             "state_passing or tbtt, or give a token folder"));
  }
  for (auto& values : state.values) {
    for (double& value : values) value /= static_cast<double>(rows);
  }
  state.origin = message("mean of the ", rows, " states that the run hands on after step ", *step);
  return state;
}

}  // namespace

LearnedState learn_state(model::LanguageModel& model, const fs::path& source,
                         const LearnedStateOptions& options) {
  if (fs::exists(source / "tokens.bin")) return mean_over_tokens(model, source, options);
  if (fs::exists(source / "run.yaml")) return mean_of_run(model, source);
  throw InputError(
      message("--initial-state: ", source.string(), ": is neither a token folder nor a run"));
}

void write_learned_state(const fs::path& file, const model::LanguageModel& model,
                         const LearnedState& state) {
  std::vector<model::TensorToStore> tensors;
  for (size_t i = 0; i < state.values.size(); ++i) {
    const auto& spec = model.state_specs()[i];
    const core::TensorView view(const_cast<double*>(state.values[i].data()), core::DType::kF64,
                                spec.shape.with_front(1));
    tensors.push_back({spec.name, view, model::StoredType::kF32});
  }
  model::write_safetensors(file, tensors, {{kOrigin, state.origin}});
}

bool remove_learned_state(const fs::path& file) {
  try {
    if (!fs::exists(file) || !model::SafetensorsFile(file).metadata().contains(kOrigin))
      return false;
  } catch (const InputError&) {
    return false;
  }
  return fs::remove(file);
}

std::string how_to_load(const fs::path& folder, const std::string& file,
                        const model::ModelConfig& config) {
  const fs::path whole = folder.has_filename() ? folder : folder.parent_path();  // "NAME/"
  const std::string model = whole.filename().string();
  const std::string step =
      config.is_mamba1()
          ? "# Token by token: with several at once transformers' Mamba begins from zeros.\n"
            "logits = torch.cat([model(token, cache=cache, use_cache=True).logits\n"
            "                    for token in input_ids.split(1, dim=1)], dim=1)\n"
          : "logits = model(input_ids, cache=cache, use_cache=True).logits\n";
  return message(
      "In longhaul: `longhaul forward --model ", model, " --initial-state ", model, "/", file,
      " …`, and in the same way `longhaul generate` and every `longhaul eval`.\n\nIn transformers "
      "(5 or later):\n\n```python\n"
      "import torch\n"
      "from safetensors.torch import load_file\n"
      "from transformers import AutoModelForCausalLM, DynamicCache\n\n"
      "model = AutoModelForCausalLM.from_pretrained(\"",
      model,
      "\")\n"
      "state = load_file(\"",
      model, "/", file,
      "\")\n"
      "cache = DynamicCache(config=model.config)\n"
      "for i in range(model.config.num_hidden_layers):\n"
      "    # transformers keeps one row more than the convolution looks back.\n"
      "    conv = torch.nn.functional.pad(state[f\"conv.{i}\"].transpose(1, 2), (1, 0))\n"
      "    cache.update_conv_state(conv.to(model.dtype), i, "
      "conv_kernel_size=model.config.conv_kernel)\n"
      "    cache.update_recurrent_state(state[f\"ssm.{i}\"].to(model.dtype), i)\n",
      step, "```\n");
}

}  // namespace longhaul::launch
