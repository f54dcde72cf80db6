#include "launch/model_tokenizer.h"

#include "data/tokenizer.h"
#include "kernels/core/error.h"
#include "launch/run_config.h"

namespace longhaul::launch {

namespace {
namespace fs = std::filesystem;

/// 256 bytes and the end of document, with the embedding's rows rounded up.
constexpr int64_t kMostOfBytes = 512;

/// model.from of the run that `model` lies in (RUN/model, RUN/checkpoints/step-N); "" if none.
fs::path base_model(const fs::path& model) {
  const fs::path whole = fs::weakly_canonical(model);
  for (const fs::path& folder : {whole.parent_path(), whole.parent_path().parent_path()})
    if (fs::is_regular_file(folder / "run.yaml"))
      return read_run_config((folder / "run.yaml").string()).model.from;
  return {};
}
}  // namespace

std::string tokenizer_of_model(const fs::path& model, int64_t vocabulary) {
  for (const fs::path& folder : {model, base_model(model)}) {
    const fs::path file = folder.empty() ? fs::path() : data::find_tokenizer(folder);
    if (!file.empty()) return file.string();
  }
  if (vocabulary <= kMostOfBytes) return "byte";
  throw core::InputError(core::message(model.string(),
                                       ": has neither tokenizer.json nor tokenizer.model beside it "
                                       "and a vocabulary of ",
                                       vocabulary, "; expected the option --tokenizer"));
}

}  // namespace longhaul::launch
