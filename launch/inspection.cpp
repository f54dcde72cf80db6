#include "launch/inspection.h"

#include <array>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "data/token_folder.h"
#include "kernels/core/error.h"
#include "launch/field_list.h"
#include "launch/run_config.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/safetensors.h"
#include "model/parameter_list.h"
#include "trainer/metrics.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::InputError;
using core::message;

constexpr std::array kTypeNames = {"F64", "F32", "F16", "BF16", "I64", "I32"};

const char* name_of(model::StoredType type) { return kTypeNames[static_cast<size_t>(type)]; }

std::string inspect_safetensors(const fs::path& path) {
  const model::SafetensorsFile file(path);
  std::ostringstream out;
  int64_t elements = 0;
  for (const auto& tensor : file.tensors()) elements += tensor.shape.elements();
  out << "safetensors    " << file.tensors().size() << " tensors, " << elements << " elements\n";
  for (const auto& [key, value] : file.metadata()) out << "  " << key << ": " << value << "\n";
  for (const auto& tensor : file.tensors()) {
    out << "  " << tensor.name << "  " << name_of(tensor.type) << " " << tensor.shape << "\n";
  }
  return out.str();
}

std::string element_types(const fs::path& folder) {
  std::map<std::string, int64_t> tensors;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() != ".safetensors" || name.rfind("model", 0) != 0) continue;
    const model::SafetensorsFile file(entry.path());
    for (const auto& tensor : file.tensors()) ++tensors[name_of(tensor.type)];
  }
  std::string text;
  for (const auto& [type, count] : tensors) {
    text += (text.empty() ? "" : ", ") + message(count, " tensors ", type);
  }
  return text.empty() ? "none" : text;
}

std::string inspect_model(const fs::path& folder) {
  model::ModelConfig config = model::read_model_config(folder);
  FieldList list;
  config.visit(list);
  std::ostringstream out;
  int64_t elements = 0;
  for (const auto& parameter : model::mamba2_parameters(config)) {
    elements += parameter.shape.elements();
  }
  out << "model          " << elements << " parameters; stored: " << element_types(folder) << "\n";
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

std::string inspect_tokens(const fs::path& path) {
  const data::TokenFolder folder(path);
  return message("token folder   ", folder.tokens(), " tokens in ", folder.documents(),
                 " documents\n  tokenizer: ", folder.tokenizer(),
                 "\n  vocabulary: ", folder.vocabulary(),
                 "\n  end of document: ", folder.end_of_document(), "\n");
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
  if (!fs::is_directory(path)) return inspect_safetensors(path);
  if (fs::exists(path / "run.yaml")) return inspect_run(path);
  if (fs::exists(path / "tokens.bin")) return inspect_tokens(path);
  if (fs::exists(path / "config.json")) {
    const bool training = fs::exists(path / "manifest.json");
    return (training ? inspect_manifest(path / "manifest.json") : "") + inspect_model(path);
  }
  throw InputError(message(path.string(),
                           ": found none of run.yaml, tokens.bin and config.json, expected a run, "
                           "token or model folder or a safetensors file"));
}

}  // namespace longhaul::launch
