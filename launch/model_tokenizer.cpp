#include "launch/model_tokenizer.h"

#include <vector>

#include "data/token_folder.h"
#include "data/tokenizer_files.h"
#include "kernels/core/error.h"
#include "launch/model_conversion.h"
#include "launch/run_config.h"
#include "launch/run_folder.h"
#include "model/checkpoint/stored_model.h"

namespace longhaul::launch {

namespace {
namespace fs = std::filesystem;

/// 256 bytes and the end of document, with the embedding's rows rounded up.
constexpr int64_t kMostOfBytes = 512;
constexpr size_t kMostLinks = 16;  // a run can name itself

struct Ancestor {
  fs::path run;
  RunConfig config;
};

/// The run that `model` lies in, that of the model which that one started from, and so on.
std::vector<Ancestor> ancestors_of(const fs::path& model) {
  std::vector<Ancestor> ancestors;
  fs::path at = model::model_of(model);
  while (!at.empty() && ancestors.size() < kMostLinks) {
    const auto run = run_of(at);
    if (!run) break;
    ancestors.push_back({.run = *run, .config = read_run_config((*run / kRunConfigFile).string())});
    at = model::model_of(ancestors.back().config.model.from);
  }
  return ancestors;
}

std::string tokens_of_data(const RunConfig& config) {
  const DataSection& data = config.data;
  if (data.kind == DataKind::kTokens) return data::recorded_tokenizer(data.folder);
  if (data.task() == nullptr || !data.task()->has_words()) return "";
  return data.tokenizer.empty() && config.model.from.empty() ? "byte" : data.tokenizer;
}
}  // namespace

fs::path folder_with_tokenizer(const fs::path& model) {
  const fs::path whole = model::model_of(model);
  std::vector<fs::path> places{whole};
  for (const Ancestor& ancestor : ancestors_of(model)) {
    places.push_back(ancestor.run / kRunTokenizer);
    places.push_back(model::model_of(ancestor.config.model.from));
  }
  for (const fs::path& place : places) {
    if (!place.empty() && !data::find_tokenizer(place).empty()) return place;
  }
  return whole;
}

std::string tokens_of_model(const fs::path& model) {
  const fs::path file = data::find_tokenizer(folder_with_tokenizer(model));
  if (!file.empty()) return data::name_of_tokenizer_file(file);
  for (const Ancestor& ancestor : ancestors_of(model)) {
    const std::string name = tokens_of_data(ancestor.config);
    if (!name.empty()) return name;
  }
  return "";
}

std::string tokenizer_of_model(const fs::path& model, int64_t vocabulary) {
  const fs::path file = data::find_tokenizer(folder_with_tokenizer(model));
  if (!file.empty()) return file.string();
  const std::string tokens = tokens_of_model(model);
  if (!tokens.empty() && tokens != "byte") {
    throw core::InputError(core::message(model.string(), ": was trained on tokens of '", tokens,
                                         "', which is not kept with it; expected it as "
                                         "--tokenizer (of train: data.tokenizer)"));
  }
  if (vocabulary <= kMostOfBytes) return "byte";
  throw core::InputError(core::message(model.string(),
                                       ": has neither tokenizer.json nor tokenizer.model beside it "
                                       "and a vocabulary of ",
                                       vocabulary, "; expected the option --tokenizer"));
}

}  // namespace longhaul::launch
