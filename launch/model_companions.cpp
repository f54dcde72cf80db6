#include "launch/model_companions.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/tokenizer_files.h"
#include "kernels/core/error.h"
#include "kernels/core/random_access_file.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The special token of that number in a tokenizer.json of any kind; "" if there is none.
std::string special_token(const fs::path& file, const std::string& number) {
  if (file.extension() != ".json") return "";
  const json id = json::parse(number, nullptr, false);
  const json root = json::parse(core::read_file(file), nullptr, false);
  if (!root.is_object() || !id.is_number_unsigned()) return "";
  for (const json& token : root.value("added_tokens", json::array())) {
    if (!token.is_object() || token.value("id", json()) != id) continue;
    const json special = token.value("special", json()), content = token.value("content", json());
    if (special == json(true) && content.is_string()) return content.get<std::string>();
  }
  return "";
}

/// `number`: the end of text by the model's configuration, as JSON.
std::string end_of_text(const fs::path& tokenizer, const std::string& number) {
  try {
    const auto known = data::make_tokenizer(tokenizer.string());
    return known->spelling(known->end_of_document());
  } catch (const core::InputError&) {
    return special_token(tokenizer, number);
  }
}

}  // namespace

std::vector<std::string> companion_names() {
  std::vector<std::string> names(data::tokenizer_file_names().begin(),
                                 data::tokenizer_file_names().end());
  for (const char* name : {"generation_config.json", "README.md", kLearnedStateFile}) {
    names.emplace_back(name);
  }
  return names;
}

void complete_for_transformers(model::WriteOptions& options) {
  auto& files = options.companions;
  const fs::path folder = files.empty() ? fs::path() : files.front().parent_path();
  const fs::path tokenizer = files.empty() ? fs::path() : data::find_tokenizer(folder);
  if (tokenizer.empty()) return;
  const fs::path config = folder / data::kTokenizerConfig;
  const auto found = std::find(files.begin(), files.end(), config);
  const std::string said = found == files.end() ? "{}" : core::read_file(config);
  if (data::names_tokenizer_class(said)) return;
  const std::string end = end_of_text(tokenizer, options.tokens.eos);
  options.beside.push_back({data::kTokenizerConfig, data::with_tokenizer_class(said, end)});
  if (found != files.end()) files.erase(found);
}

}  // namespace longhaul::launch
