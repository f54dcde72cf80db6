#include "eval/tasks/answer_scorer.h"

namespace longhaul::eval {

std::string text_of(const data::Tokenizer& tokenizer, std::span<const int32_t> tokens) {
  std::string text;
  for (const int32_t token : tokens) {
    if (token >= 0 && token < tokenizer.vocabulary()) text += tokenizer.decode(token);
  }
  return text;
}

}  // namespace longhaul::eval
