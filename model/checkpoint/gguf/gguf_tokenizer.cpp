#include "model/checkpoint/gguf/gguf_tokenizer.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "kernels/core/error.h"
#include "kernels/core/random_access_file.h"
#include "model/checkpoint/byte_tokenizer.h"
#include "model/checkpoint/gguf/gguf_frame.h"
#include "model/checkpoint/gguf/pre_tokenizers.h"
#include "model/checkpoint/json_reading.h"

namespace longhaul::model {

namespace {

using core::message;
using nlohmann::json;

std::string text_of(const json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool flag(const json& object, const char* key, bool absent) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() ? found->get<bool>() : absent;
}

class TokenizerReader {
 public:
  TokenizerReader(std::string name, const json& root) : name_(std::move(name)), root_(root) {}

  GgufTokenizer read(int64_t rows, const std::string& pre) {
    GgufTokenizer tokenizer;
    tokenizer.model = "gpt2";
    check_normalizer(tokenizer);
    tokenizer.pre = pre.empty() ? find_pre_tokenizer() : pre;
    const json& model = part("model");
    if (text_of(model, "type") != "BPE") {
      refuse("model.type", message("is ", in_quotes(text_of(model, "type")),
                                   ", expected BPE: llama.cpp's byte-level tokenizer"));
    }
    for (const char* key : {"byte_fallback", "fuse_unk"}) {
      if (flag(model, key, false)) refuse(message("model.", key), "true has no place in GGUF");
    }
    read_merges(model);
    if (!problems_.empty()) throw core::InputError(problems_);
    tokenizer.merges = std::move(merges_);
    read_tokens(model, rows, tokenizer);
    if (!problems_.empty()) throw core::InputError(problems_);
    return tokenizer;
  }

 private:
  void refuse(const std::string& key, const std::string& what) {
    constexpr size_t kMostProblems = 20;
    if (problems_.size() < kMostProblems)
      problems_.push_back(message(name_, ": ", key, ": ", what));
  }

  const json& part(const char* key) const {
    static const json kNothing;
    const auto found = root_.find(key);
    return found == root_.end() ? kNothing : *found;
  }

  void check_normalizer(GgufTokenizer& tokenizer) {
    const json& normalizer = part("normalizer");
    if (normalizer.is_null()) return;
    if (text_of(normalizer, "type") == "NFC") {
      tokenizer.notes.emplace_back("llama.cpp does not normalise text to NFC, the tokenizer does");
    } else {
      refuse("normalizer", message("is ", shown(normalizer), ", which GGUF cannot express"));
    }
  }

  std::string find_pre_tokenizer() {
    const json& whole = part("pre_tokenizer");
    std::vector<json> steps = {whole};
    if (text_of(whole, "type") == "Sequence" && whole.contains("pretokenizers") &&
        whole["pretokenizers"].is_array()) {
      steps = whole["pretokenizers"].get<std::vector<json>>();
    }
    std::string name;
    bool is_byte_level = false, is_known = !steps.empty();
    for (const json& step : steps) {
      if (text_of(step, "type") == "ByteLevel") {
        is_byte_level = true;
        if (flag(step, "add_prefix_space", true)) {
          refuse("pre_tokenizer.add_prefix_space", "true is not supported, expected false");
        }
        if (flag(step, "use_regex", true)) is_known &= std::exchange(name, "gpt-2").empty();
      } else {
        is_known &= std::exchange(name, split_name(step)).empty();
      }
    }
    if (is_known && is_byte_level && !name.empty()) return name;
    refuse("pre_tokenizer",
           message("is ", shown(whole),
                   ", whose name in llama.cpp is not known here; give it with --pre-tokenizer"));
    return "";
  }

  static std::string split_name(const json& step) {
    const auto pattern = step.is_object() ? step.find("pattern") : step.end();
    if (text_of(step, "type") != "Split" || pattern == step.end()) return "";
    if (text_of(step, "behavior") != "Isolated" || flag(step, "invert", false)) return "";
    const auto known = pre_tokenizer_with(text_of(*pattern, "Regex"));
    return known ? known->name : "";
  }

  /// "a b", or ["a", "b"].
  void read_merges(const json& model) {
    const auto found = model.find("merges");
    if (found == model.end() || !found->is_array()) {
      return refuse("model.merges", "expected a list");
    }
    for (const json& merge : *found) {
      std::string text;
      if (merge.is_string()) {
        text = merge.get<std::string>();
      } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
                 merge[1].is_string()) {
        text = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
      }
      if (std::count(text.begin(), text.end(), ' ') != 1) {
        return refuse("model.merges",
                      message("holds ", shown(merge), ", expected two tokens without spaces"));
      }
      merges_.push_back(std::move(text));
    }
  }

  void put(const std::string& key, const json& id, const std::string& token, int32_t type,
           GgufTokenizer& tokenizer) {
    const auto rows = static_cast<uint64_t>(tokenizer.tokens.size());
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= rows) {
      return refuse(key, message(in_quotes(token), " has the id ", shown(id),
                                 ", the embedding has ", rows, " rows"));
    }
    const auto place = static_cast<size_t>(id.get<uint64_t>());
    const bool is_taken = tokenizer.types[place] != kGgufUnused && tokenizer.tokens[place] != token;
    if (is_taken) {
      return refuse(key, message(in_quotes(token), " and ", in_quotes(tokenizer.tokens[place]),
                                 " have the same id ", place));
    }
    tokenizer.tokens[place] = token;
    tokenizer.types[place] = type;
  }

  void read_tokens(const json& model, int64_t rows, GgufTokenizer& tokenizer) {
    for (int64_t i = 0; i < rows; ++i) tokenizer.tokens.push_back(message("[PAD", i, "]"));
    tokenizer.types.assign(static_cast<size_t>(rows), kGgufUnused);
    const auto vocabulary = model.find("vocab");
    if (vocabulary == model.end() || !vocabulary->is_object()) {
      return refuse("model.vocab", "expected an object of tokens and ids");
    }
    for (const auto& [token, id] : vocabulary->items()) {
      put("model.vocab", id, token, kGgufNormal, tokenizer);
    }
    const json& added = part("added_tokens");
    if (!added.is_array()) return;
    for (const json& token : added) {
      if (!token.is_object()) {
        refuse("added_tokens", message("holds ", shown(token)));
        continue;
      }
      put("added_tokens", token.value("id", json()), text_of(token, "content"),
          flag(token, "special", false) ? kGgufControl : kGgufUserDefined, tokenizer);
    }
  }

  std::string name_;
  const json& root_;
  std::vector<std::string> merges_, problems_;
};

json read_object(const std::filesystem::path& path) {
  json root = parse_json(core::read_file(path), path.string());
  if (!root.is_object()) {
    throw core::InputError(message(path.string(), ": expected a JSON object, is ", shown(root)));
  }
  return root;
}

bool is_utf8(const std::string& text) {
  try {
    json(text).dump();
    return true;
  } catch (const json::exception&) {
    return false;
  }
}

/// As data::is_byte_level.
bool is_byte_level(const json& root) {
  const auto model = root.is_object() ? root.find("model") : root.end();
  if (model == root.end() || !model->is_object()) return false;
  const std::string type = text_of(*model, "type");
  return (type.empty() || type == "BPE") && !flag(*model, "byte_fallback", false);
}

/// bos_token and such are texts, or objects with the text as "content".
void read_special_tokens(const json& config, GgufTokenizer& tokenizer) {
  constexpr std::array<std::pair<const char*, const char*>, 4> kRoles = {
      {{"bos", "bos_token"},
       {"eos", "eos_token"},
       {"unknown", "unk_token"},
       {"padding", "pad_token"}}};
  for (const auto& [role, key] : kRoles) {
    const auto found = config.find(key);
    if (found == config.end()) continue;
    const std::string token =
        found->is_string() ? found->get<std::string>() : text_of(*found, "content");
    const auto place = std::find(tokenizer.tokens.begin(), tokenizer.tokens.end(), token);
    if (!token.empty() && place != tokenizer.tokens.end()) {
      tokenizer.special[role] = place - tokenizer.tokens.begin();
    }
  }
  if (tokenizer.model != "gpt2") {  // of which the post-processor says it
    tokenizer.add_bos = flag(config, "add_bos_token", tokenizer.add_bos);
    tokenizer.add_eos = flag(config, "add_eos_token", tokenizer.add_eos);
  }
}

/// Of the list that a configuration may have instead of one template, the default one.
std::string default_template(const json& templates, GgufTokenizer& tokenizer) {
  std::string chosen;
  for (const json& one : templates) {
    const std::string name = text_of(one, "name");
    if (name == "default") {
      chosen = text_of(one, "template");
    } else {
      tokenizer.notes.push_back(
          message("the chat template ", in_quotes(name), " is left out, the default one is kept"));
    }
  }
  return chosen;
}

/// llama.cpp takes token 11 where a file of this kind names no end of text.
void find_end_of_text(GgufTokenizer& tokenizer) {
  if (tokenizer.special.contains("eos")) return;
  for (const char* usual : {"<|endoftext|>", "<|end_of_text|>", "</s>"}) {
    const auto place = std::find(tokenizer.tokens.begin(), tokenizer.tokens.end(), usual);
    if (place == tokenizer.tokens.end()) continue;
    tokenizer.special["eos"] = place - tokenizer.tokens.begin();
    return;
  }
  tokenizer.notes.emplace_back(
      "no end of text is known (eos_token in tokenizer_config.json); llama.cpp takes token 11");
}

void append_pieces(const GgufTokenizer::Pieces& pieces, GgufKeys& keys) {
  keys.f32s("tokenizer.ggml.scores", pieces.scores);
  keys.boolean("tokenizer.ggml.add_space_prefix", pieces.add_space_prefix);
  keys.boolean("tokenizer.ggml.remove_extra_whitespaces", pieces.remove_extra_whitespaces);
  if (!pieces.charsmap.empty()) {
    keys.u8s("tokenizer.ggml.precompiled_charsmap", pieces.charsmap);
  }
}

}  // namespace

GgufTokenizer read_gguf_tokenizer(const std::filesystem::path& folder, int64_t rows,
                                  const std::string& pre) {
  const std::filesystem::path path = folder / "tokenizer.json", pieces = folder / "tokenizer.model";
  const bool has_pieces = std::filesystem::exists(pieces);
  const json root = has_pieces && !std::filesystem::exists(path) ? json() : read_object(path);
  GgufTokenizer tokenizer;
  if (has_pieces && !is_byte_level(root)) {
    tokenizer = read_gguf_pieces(pieces, rows);
  } else {
    tokenizer = TokenizerReader(path.string(), root).read(rows, pre);
  }
  const std::filesystem::path config = folder / "tokenizer_config.json";
  if (std::filesystem::exists(config)) read_special_tokens(read_object(config), tokenizer);
  read_chat_template(folder, tokenizer);
  if (tokenizer.model == "gpt2") {
    find_end_of_text(tokenizer);
    read_frame(root, tokenizer);
  }
  return tokenizer;
}

void read_chat_template(const std::filesystem::path& folder, GgufTokenizer& tokenizer) {
  const std::filesystem::path config = folder / "tokenizer_config.json",
                              jinja = folder / "chat_template.jinja";
  const json root = std::filesystem::exists(config) ? read_object(config) : json::object();
  const json found = root.value("chat_template", json());
  if (found.is_string()) {
    tokenizer.chat_template = found.get<std::string>();
  } else if (found.is_array()) {
    tokenizer.chat_template = default_template(found, tokenizer);
  } else if (std::filesystem::exists(jinja)) {
    tokenizer.chat_template = core::read_file(jinja);
    if (!is_utf8(tokenizer.chat_template)) {
      throw core::InputError(message(jinja.string(), ": is no UTF-8, expected a template"));
    }
  }
}

GgufTokenizer byte_gguf_tokenizer(int64_t rows) {
  if (rows <= kByteEndOfDocument) {
    throw core::InputError(message("the tokenizer byte has ", kByteEndOfDocument + 1,
                                   " tokens, the model a vocabulary of ", rows));
  }
  GgufTokenizer tokenizer;
  tokenizer.model = "gpt2";
  tokenizer.pre = "gpt-2";  // of no effect where nothing merges
  tokenizer.tokens = byte_level_characters();
  tokenizer.types.assign(tokenizer.tokens.size(), kGgufNormal);
  tokenizer.tokens.emplace_back(kByteEndOfDocumentText);
  tokenizer.types.push_back(kGgufControl);
  for (int64_t i = kByteEndOfDocument + 1; i < rows; ++i) {
    tokenizer.tokens.push_back(message("[PAD", i, "]"));
    tokenizer.types.push_back(kGgufUnused);
  }
  tokenizer.special = {{"bos", kByteEndOfDocument}, {"eos", kByteEndOfDocument}};
  return tokenizer;
}

void append_tokenizer(const GgufTokenizer& tokenizer, GgufKeys& keys) {
  keys.string("tokenizer.ggml.model", tokenizer.model);
  if (tokenizer.model == "none") return;
  keys.string("tokenizer.ggml.pre", tokenizer.pre);
  keys.strings("tokenizer.ggml.tokens", tokenizer.tokens);
  keys.i32s("tokenizer.ggml.token_type", tokenizer.types);
  if (tokenizer.model == "gpt2") {
    keys.strings("tokenizer.ggml.merges", tokenizer.merges);
  } else {
    append_pieces(tokenizer.pieces, keys);
  }
  for (const auto& [role, id] : tokenizer.special) {
    keys.u32(message("tokenizer.ggml.", role, "_token_id"), id);
  }
  keys.boolean("tokenizer.ggml.add_bos_token", tokenizer.add_bos);
  keys.boolean("tokenizer.ggml.add_eos_token", tokenizer.add_eos);
  if (!tokenizer.chat_template.empty()) {
    keys.string("tokenizer.chat_template", tokenizer.chat_template);
  }
}

}  // namespace longhaul::model
