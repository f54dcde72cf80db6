#include "model/checkpoint/gguf/gguf_frame.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kernels/core/error.h"
#include "model/checkpoint/json_reading.h"

namespace longhaul::model {

namespace {

using core::message;
using nlohmann::json;
using nlohmann::ordered_json;

const json& part(const json& object, const char* key) {
  static const json kNothing;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return !object.is_object() || found == object.end() ? kNothing : *found;
}

std::string text_of(const json& object, const char* key) {
  const json& value = part(object, key);
  return value.is_string() ? value.get<std::string>() : "";
}

struct Frame {
  std::vector<std::string> before, after;
};

Frame frame_of(const json& pieces) {
  Frame frame;
  bool is_behind = false;
  for (const json& piece : pieces.is_array() ? pieces : json::array()) {
    const json& special = part(piece, "SpecialToken");
    if (special.is_null()) {
      is_behind = true;
    } else {
      (is_behind ? frame.after : frame.before).push_back(text_of(special, "id"));
    }
  }
  return frame;
}

/// Whether `tokens` are the one of that role, which they name where nobody has.
bool is_role(const std::vector<std::string>& tokens, const char* role, const char* place,
             GgufTokenizer& tokenizer) {
  if (tokens.empty()) return false;
  const auto& known = tokenizer.tokens;
  const auto found = std::find(known.begin(), known.end(), tokens.front());
  if (tokens.size() == 1 && found != known.end()) {
    const auto [named, is_new] = tokenizer.special.try_emplace(role, found - known.begin());
    if (named->second == found - known.begin()) return true;
  }
  tokenizer.notes.push_back(
      message("llama.cpp puts no ", in_quotes(tokens.front()), tokens.size() > 1 ? " and more" : "",
              " ", place, " a text, the tokenizer does: it is not the ", role, " token alone"));
  return false;
}

ordered_json piece(const char* kind, const std::string& id, int type) {
  return {{kind, {{"id", id}, {"type_id", type}}}};
}

}  // namespace

void read_frame(const json& root, GgufTokenizer& tokenizer) {
  const json& whole = part(root, "post_processor");
  const json& several = part(whole, "processors");
  const json steps = several.is_array() ? several : json::array({whole});
  for (const json& step : steps) {
    const std::string type = text_of(step, "type");
    if (type.empty() || type == "ByteLevel") continue;  // of offsets alone
    if (type == "TemplateProcessing") {
      const Frame frame = frame_of(part(step, "single"));
      tokenizer.add_bos = is_role(frame.before, "bos", "before", tokenizer);
      tokenizer.add_eos = is_role(frame.after, "eos", "behind", tokenizer);
    } else {
      tokenizer.notes.push_back(
          message("llama.cpp has no post-processor ", in_quotes(type), ", the tokenizer has"));
    }
  }
}

ordered_json post_processor(const std::vector<FrameToken>& before,
                            const std::vector<FrameToken>& after) {
  if (before.empty() && after.empty()) return nullptr;
  ordered_json single = ordered_json::array(), pair = ordered_json::array();
  ordered_json tokens = ordered_json::object();
  const auto put = [&](const std::vector<FrameToken>& some, ordered_json& pieces, int type) {
    for (const FrameToken& token : some) {
      pieces.push_back(piece("SpecialToken", token.text, type));
      tokens[token.text] = {{"id", token.text}, {"ids", {token.id}}, {"tokens", {token.text}}};
    }
  };
  const auto put_text = [&](const char* name, ordered_json& pieces, int type) {
    put(before, pieces, type);
    pieces.push_back(piece("Sequence", name, type));
    put(after, pieces, type);
  };
  put_text("A", single, 0);
  put_text("A", pair, 0);
  put_text("B", pair, 1);
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"pair", std::move(pair)},
          {"special_tokens", std::move(tokens)}};
}

}  // namespace longhaul::model
