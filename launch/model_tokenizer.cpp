#include "launch/model_tokenizer.h"

#include "data/tokenizer.h"
#include "kernels/core/error.h"
#include "launch/model_conversion.h"
#include "launch/run_config.h"
#include "model/checkpoint/stored_model.h"

namespace longhaul::launch {

namespace {
namespace fs = std::filesystem;

/// 256 bytes and the end of document, with the embedding's rows rounded up.
constexpr int64_t kMostOfBytes = 512;
constexpr int kMostLinks = 16;  // a run can name itself
}  // namespace

fs::path folder_with_tokenizer(const fs::path& model) {
  fs::path at = model::model_of(model);
  for (int links = 0; links < kMostLinks; ++links) {
    if (!data::find_tokenizer(at).empty()) return at;
    const auto run = run_of(at);
    if (!run) break;
    const fs::path from = read_run_config((*run / "run.yaml").string()).model.from;
    if (from.empty()) break;
    at = model::model_of(from);
  }
  return model::model_of(model);
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
