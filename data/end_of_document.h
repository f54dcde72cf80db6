// Which token ends a document.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizer.h"

namespace longhaul::data {

struct EndOfDocumentChoice {
  std::string file;   ///< of the tokenizer, for messages
  std::string asked;  ///< text or number of a token; "": not asked for
  int64_t vocabulary = 0;
  std::function<std::optional<int32_t>(const std::string&)> find;  ///< the token of that text
};

/// In this order: what is asked for; eos_token of the tokenizer_config.json beside the file; the
/// only one of <|endoftext|>, <|end_of_text|>, </s> and <eos> that there is. InputError where none
/// of that leads to one token.
int32_t choose_end_of_document(const EndOfDocumentChoice& choice);

}  // namespace longhaul::data
