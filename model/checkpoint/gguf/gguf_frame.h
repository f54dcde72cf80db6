// What a tokenizer puts around a text, between tokenizer.json and GGUF.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "model/checkpoint/gguf/gguf_tokenizer.h"

namespace longhaul::model {

/// Takes from the post-processor of a tokenizer.json whether `tokenizer` begins texts with its bos
/// and ends them with its eos token, which it becomes where none is known; GGUF can say nothing
/// else, and a note tells what is lost.
void read_frame(const nlohmann::json& root, GgufTokenizer& tokenizer);

struct FrameToken {
  std::string text;
  size_t id = 0;
};
/// The post-processor that puts `before` and `after` (one at most) around a text; null for neither.
nlohmann::ordered_json post_processor(const std::vector<FrameToken>& before,
                                      const std::vector<FrameToken>& after);

}  // namespace longhaul::model
