#include "launch/inspection.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <vector>

#include "data/token_folder.h"
#include "kernels/core/error.h"
#include "kernels/core/fields.h"
#include "launch/field_list.h"
#include "launch/model_conversion.h"
#include "launch/run_config.h"
#include "model/architecture.h"
#include "model/checkpoint/gguf/gguf_file.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/safetensors_header.h"
#include "model/checkpoint/stored_model.h"
#include "model/checkpoint/torch/torch_file.h"
#include "trainer/metrics.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::InputError;
using core::message;

std::string list_of(const std::vector<model::TensorStream>& tensors) {
  std::ostringstream out;
  for (const auto& tensor : tensors) {
    out << "  " << tensor.name << "  " << model::name_of(tensor.type) << " " << tensor.shape
        << "\n";
  }
  return out.str();
}

std::string inspect_safetensors(const fs::path& path) {
  const model::SafetensorsFile file(path);
  std::ostringstream out;
  int64_t elements = 0;
  for (const auto& tensor : file.tensors()) elements += tensor.shape.elements();
  out << "safetensors    " << file.tensors().size() << " tensors, " << elements << " elements\n";
  for (const auto& [key, value] : file.metadata()) out << "  " << key << ": " << value << "\n";
  for (const auto& tensor : file.tensors()) {
    out << "  " << tensor.name << "  " << model::name_of(tensor.type) << " " << tensor.shape
        << "\n";
  }
  return out.str();
}

std::string inspect_torch(const fs::path& path) {
  const model::TorchFile file(path);
  std::string text = message("torch file     ", file.tensors().size(), " tensors, ",
                             elements_of(file.tensors()), " elements\n", list_of(file.tensors()));
  for (const auto& alias : file.aliases()) {
    text += message("  ", alias.second, alias.is_same ? " is " : " overlaps ", alias.first, "\n");
  }
  return text;
}

std::string inspect_gguf(const fs::path& path) {
  const model::GgufFile file(path);
  std::ostringstream out;
  out << "GGUF           " << file.tensors().size() << " tensors, " << elements_of(file.tensors())
      << " elements\n";
  for (const auto& [key, value] : file.header().values) {
    out << "  " << key << ": " << value.shown() << "\n";
  }
  for (const auto& tensor : file.header().tensors) {
    out << "  " << tensor.name << "  " << model::name_of(tensor.type) << " " << tensor.shape
        << "\n";
  }
  return out.str();
}

/// The eight bytes that begin a safetensors file are a length, with zeros for any that is real.
bool is_text(const fs::path& path) {
  std::array<char, 8> start{};
  std::ifstream in(path, std::ios::binary);
  in.read(start.data(), start.size());
  const auto end = start.begin() + in.gcount();
  return in.gcount() > 0 && std::none_of(start.begin(), end, [](char c) {
           return c != '\n' && c != '\r' && c != '\t' && static_cast<unsigned char>(c) < ' ';
         });
}

[[noreturn]] void refuse_text(const fs::path& path) {
  const std::string ending = path.extension().string();
  const bool is_yaml = ending == ".yaml" || ending == ".yml";
  throw InputError(message(path.string(),
                           ": is a text file, expected a run, token or model folder or a "
                           "safetensors, torch or GGUF file",
                           is_yaml ? "; of a run's YAML longhaul train --dry-run tells" : ""));
}

std::string inspect_file(const fs::path& path) {
  if (model::is_gguf_file(path)) return inspect_gguf(path);
  std::ifstream in(path, std::ios::binary);
  std::array<char, 2> start{};
  in.read(start.data(), 2);
  const bool is_zip = in && start == std::array{'P', 'K'};
  if (is_text(path)) refuse_text(path);
  return is_zip ? inspect_torch(path) : inspect_safetensors(path);
}

/// Whether the weights fit the configuration, too.
std::string stored_weights(const fs::path& folder) {
  try {
    const model::StoredModel stored = model::open_stored_model(folder);
    return message(types_of(stored.tensors, std::nullopt), ", ", model::name_of(stored.format),
                   " format");
  } catch (const InputError& error) {
    const auto& problems = error.problems();
    const std::string more =
        problems.size() > 1 ? message(" (and ", problems.size() - 1, " more)") : "";
    return message("not usable: ", problems.front(), more);
  }
}

std::string inspect_model(const fs::path& folder) {
  model::ModelConfig config = model::read_model_config(folder);
  FieldList list;
  config.visit(list);
  std::ostringstream out;
  int64_t elements = 0;
  for (const auto& parameter : model::parameters_of(config)) {
    elements += parameter.shape.elements();
  }
  out << "model          " << elements << " parameters; stored: " << stored_weights(folder) << "\n";
  for (const auto& field : list.fields()) out << "  " << field.path << ": " << field.value << "\n";
  return out.str();
}

/// The manifest as it is stored: JSON with names that speak.
std::string inspect_manifest(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  const auto json = nlohmann::json::parse(in, nullptr, false);
  if (!json.is_object()) throw InputError(message(file.string(), ": is no JSON object"));
  constexpr size_t kLongest = 100;  // positions and lists of checksums are not for reading
  std::ostringstream out;
  out << "checkpoint     manifest.json\n";
  for (const auto& [key, value] : json.items()) {
    const std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    out << "  " << key << ": "
        << (text.size() > kLongest ? message("(", text.size(), " bytes)") : text) << "\n";
  }
  return out.str();
}

std::string split_of(const data::TokenFolder& folder) {
  if (!folder.split()) return "";
  const data::Split& split = *folder.split();
  return message("  split: ", split.is_held_out ? "held out" : "to train on", ", share ",
                 split.share, "; ", split.rule, "\n");
}

std::string inspect_tokens(const fs::path& path) {
  const data::TokenFolder folder(path);
  return message("token folder   ", folder.tokens(), " tokens in ", folder.documents(),
                 " documents\n  tokenizer: ", folder.tokenizer(),
                 "\n  vocabulary: ", folder.vocabulary(),
                 "\n  end of document: ", folder.end_of_document(), "\n", split_of(folder));
}

std::string inspect_run(const fs::path& folder) {
  const RunConfig config = read_run_config((folder / "run.yaml").string());
  std::ostringstream out;
  const auto newest = trainer::newest_checkpoint(folder);
  out << "run            configuration " << std::hex << computation_hash(config) << std::dec << "\n"
      << "  newest checkpoint: " << (newest ? message("step ", *newest) : "none") << " of "
      << config.schedule.steps << " steps\n"
      << "  final model: " << (fs::exists(folder / "model" / "config.json") ? "model" : "none")
      << "\n";
  if (fs::exists(folder / "metrics.jsonl")) {
    const auto records = trainer::read_metrics(folder / "metrics.jsonl");
    out << "  records: " << records.size() << "\n";
    if (!records.empty()) {
      out << "  last: " << records.back().kind << " of step " << records.back().step;
      for (const auto& [name, value] : records.back().values) out << ", " << name << " " << value;
      out << "\n";
    }
  }
  return out.str() + "\n" + to_yaml(config);
}

}  // namespace

std::string inspect(const fs::path& path) {
  if (!fs::exists(path)) throw InputError(message(path.string(), ": is not there"));
  if (!fs::is_directory(path)) return inspect_file(path);
  if (fs::exists(path / "run.yaml")) return inspect_run(path);
  if (fs::exists(path / "tokens.bin")) return inspect_tokens(path);
  if (fs::exists(path / "config.json")) {
    const bool training = fs::exists(path / "manifest.json");
    return (training ? inspect_manifest(path / "manifest.json") : "") + inspect_model(path);
  }
  throw InputError(message(path.string(),
                           ": found none of run.yaml, tokens.bin and config.json, expected a run, "
                           "token or model folder or a safetensors, torch or GGUF file"));
}

std::string verify(const fs::path& path) {
  std::vector<fs::path> folders;
  if (fs::exists(path / "manifest.json")) {
    folders.push_back(path);
  } else {
    for (const int64_t step : trainer::all_checkpoints(path)) {
      folders.push_back(trainer::checkpoint_folder(path, step));
    }
  }
  if (folders.empty()) {
    throw InputError(message(path.string(),
                             ": holds no training checkpoint, expected a run or "
                             "the folder of a checkpoint"));
  }
  std::string sound;
  core::Problems problems;
  for (const fs::path& folder : folders) {
    try {
      trainer::verify_checkpoint(folder);
      sound += message(folder.string(), ": sound\n");
    } catch (const InputError& error) {
      problems.insert(problems.end(), error.problems().begin(), error.problems().end());
    }
  }
  if (!problems.empty()) throw InputError(problems);
  return sound;
}

}  // namespace longhaul::launch
