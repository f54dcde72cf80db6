#include "launch/model_conversion.h"

#include <algorithm>
#include <array>
#include <map>

#include "kernels/core/error.h"
#include "kernels/core/mapped_file.h"
#include "model/checkpoint/model_parts.h"
#include "model/checkpoint/safetensors_header.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;

constexpr std::array kCompanions = {"tokenizer.json",
                                    "tokenizer_config.json",
                                    "special_tokens_map.json",
                                    "vocab.json",
                                    "merges.txt",
                                    "added_tokens.json",
                                    "tokenizer.model",
                                    "chat_template.jinja",
                                    "generation_config.json"};

}  // namespace

std::vector<fs::path> companions_of(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const char* name : kCompanions) {
    std::error_code error;
    if (fs::is_regular_file(folder / name, error)) found.push_back(folder / name);
  }
  return found;
}

model::TokenIds token_ids_of(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return {};
  return model::read_token_ids(core::MappedFile(path).text(), path.string());
}

fs::path model_of(const fs::path& path) {
  const bool is_run = fs::exists(path / "run.yaml") && !fs::exists(path / "config.json");
  if (is_run && !fs::exists(path / "model")) {
    throw core::InputError(core::message(path.string(),
                                         ": is a run that has no model yet, expected one that is "
                                         "done, or one of its checkpoints"));
  }
  return is_run ? path / "model" : path;
}

std::optional<fs::path> run_of(const fs::path& model) {
  const fs::path whole = fs::weakly_canonical(model);
  for (const fs::path& folder : {whole.parent_path(), whole.parent_path().parent_path()}) {
    if (fs::is_regular_file(folder / "run.yaml")) return folder;
  }
  return std::nullopt;
}

std::optional<model::StoredType> chosen_type(const std::string& dtype) {
  if (dtype == "auto") return std::nullopt;
  return model::parse_stored_type(dtype);
}

std::string types_of(const std::vector<model::TensorStream>& tensors,
                     std::optional<model::StoredType> type) {
  std::map<model::StoredType, int64_t> counts;
  for (const auto& tensor : tensors) ++counts[type.value_or(tensor.type)];
  const auto most =
      std::max_element(counts.begin(), counts.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  std::string text = model::name_of(most->first), others;
  for (const auto& [other, count] : counts) {
    if (other == most->first) continue;
    others += core::message(others.empty() ? "" : ", ", count, " tensors ", model::name_of(other));
  }
  return others.empty() ? text : core::message(text, " (", others, ")");
}

int64_t elements_of(const std::vector<model::TensorStream>& tensors) {
  int64_t elements = 0;
  for (const auto& tensor : tensors) elements += tensor.shape.elements();
  return elements;
}

ConversionProgress::ConversionProgress(const std::string& label,
                                       const std::vector<model::TensorStream>& tensors,
                                       std::optional<model::StoredType> type)
    : bar_(label) {
  for (const auto& tensor : tensors) {
    total_ +=
        tensor.shape.elements() * static_cast<int64_t>(model::size_of(type.value_or(tensor.type)));
  }
}

void ConversionProgress::operator()(int64_t bytes) {
  done_ += bytes;
  bar_.show(static_cast<double>(done_) / static_cast<double>(std::max<int64_t>(total_, 1)),
            core::message(done_ >> 20, " of ", total_ >> 20, " MiB"));
}

}  // namespace longhaul::launch
