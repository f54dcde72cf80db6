#include "tests/eval/tiny_text.h"

#include <vector>

#include "data/token_folder.h"
#include "kernels/core/random.h"

namespace longhaul::eval {

model::ModelConfig tiny_config(int64_t vocabulary) {
  model::ModelConfig config;
  config.vocabulary = vocabulary;
  config.width = 12;
  config.layers = 2;
  config.heads = 2;
  config.head_dim = 8;
  config.state_dim = 4;
  config.chunk = 8;
  return config;
}

std::filesystem::path write_tokens(const testing::ScratchFolder& scratch, int64_t document_length) {
  const std::filesystem::path folder = scratch.path() / "tokens";
  data::TokenFolderWriter writer(
      folder, {.tokenizer = "byte", .vocabulary = kVocabulary, .end_of_document = 0});
  core::RandomStream random({.seed = 5});
  for (int document = 0; document < 6; ++document) {
    std::vector<int32_t> tokens(static_cast<size_t>(document_length));
    for (int32_t& token : tokens) token = 1 + static_cast<int32_t>(random.below(kVocabulary - 1));
    writer.add_document(tokens);
  }
  writer.finish();
  return folder;
}

}  // namespace longhaul::eval
