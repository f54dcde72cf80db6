#include "launch/model_tokenizer.h"

#include "data/tokenizer.h"
#include "kernels/core/error.h"
#include "launch/model_conversion.h"
#include "launch/run_config.h"

namespace longhaul::launch {

namespace {
namespace fs = std::filesystem;

/// 256 bytes and the end of document, with the embedding's rows rounded up.
constexpr int64_t kMostOfBytes = 512;
}  // namespace

fs::path folder_with_tokenizer(const fs::path& model) {
  const auto run = run_of(model);
  if (!run || !data::find_tokenizer(model).empty()) return model;
  const fs::path from = read_run_config((*run / "run.yaml").string()).model.from;
  return !from.empty() && !data::find_tokenizer(from).empty() ? from : model;
}

std::string tokenizer_of_model(const fs::path& model, int64_t vocabulary) {
  const fs::path file = data::find_tokenizer(folder_with_tokenizer(model));
  if (!file.empty()) return file.string();
  if (vocabulary <= kMostOfBytes) return "byte";
  throw core::InputError(core::message(model.string(),
                                       ": has neither tokenizer.json nor tokenizer.model beside it "
                                       "and a vocabulary of ",
                                       vocabulary, "; expected the option --tokenizer"));
}

}  // namespace longhaul::launch
