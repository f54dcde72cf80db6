#include "data/tokenizer_files.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "data/file_io.h"
#include "kernels/core/error.h"
#include "kernels/core/random_access_file.h"

namespace longhaul::data {

namespace {
namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

constexpr std::array kNames = {"tokenizer.json",  kTokenizerConfig,     "special_tokens_map.json",
                               "vocab.json",      "merges.txt",         "added_tokens.json",
                               "tokenizer.model", "chat_template.jinja"};

TokenizerFile read(const fs::path& file, const std::string& name) {
  return {.name = name, .text = core::read_file(file)};
}

std::string text_of(const json& root) {
  return root.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}
}  // namespace

std::span<const char* const> tokenizer_file_names() { return kNames; }

std::vector<fs::path> tokenizer_files_in(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const char* name : kNames) {
    std::error_code error;
    if (fs::is_regular_file(folder / name, error)) found.push_back(folder / name);
  }
  return found;
}

std::vector<TokenizerFile> read_tokenizer_files(const std::string& specification) {
  if (specification == "byte") return {};
  std::error_code error;
  const bool is_folder = fs::is_directory(specification, error);
  const fs::path folder =
      is_folder ? fs::path(specification) : fs::path(specification).parent_path();
  std::vector<TokenizerFile> files;
  if (is_folder || find_tokenizer(folder) == fs::path(specification)) {
    for (const auto& file : tokenizer_files_in(folder))
      files.push_back(read(file, file.filename().string()));
    return files;
  }
  // What else lies there is of another tokenizer, but for what make_tokenizer read of it.
  const std::string kind = fs::path(specification).extension().string();
  files.push_back(read(specification, "tokenizer" + kind));
  if (fs::is_regular_file(folder / kTokenizerConfig, error))
    files.push_back(read(folder / kTokenizerConfig, kTokenizerConfig));
  return files;
}

bool names_tokenizer_class(std::string_view config) {
  const json said = json::parse(config, nullptr, false);
  if (!said.is_object() || said.contains("auto_map")) return true;
  const auto found = said.find("tokenizer_class");
  return found != said.end() && !found->is_null();
}

std::string with_tokenizer_class(const std::string& config, const std::string& end) {
  json said = json::parse(config);
  said["tokenizer_class"] = "PreTrainedTokenizerFast";
  if (!end.empty() && !said.contains("eos_token")) said["eos_token"] = end;
  return text_of(said);
}

void keep_end_of_document(const Tokenizer& tokenizer, std::vector<TokenizerFile>& files) {
  auto config = std::find_if(files.begin(), files.end(), [](const TokenizerFile& file) {
    return file.name == kTokenizerConfig;
  });
  if (config == files.end())
    config = files.insert(files.end(), {.name = kTokenizerConfig, .text = "{}"});
  json said = json::parse(config->text, nullptr, false);
  if (!said.is_object()) said = json::object();
  said["eos_token"] = tokenizer.spelling(tokenizer.end_of_document());
  config->text = text_of(said);
  if (!names_tokenizer_class(config->text)) config->text = with_tokenizer_class(config->text, "");
}

std::string identity_of_tokenizer_text(std::string_view text) {
  return core::message("(CRC-32 ", crc32(text), ")");
}

std::string name_of_tokenizer_file(const fs::path& file) {
  return file.string() + " " + identity_of_tokenizer_text(core::read_file(file));
}

}  // namespace longhaul::data
