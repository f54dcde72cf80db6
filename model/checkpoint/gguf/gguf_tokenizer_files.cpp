#include "model/checkpoint/gguf/gguf_tokenizer_files.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "kernels/core/error.h"
#include "model/checkpoint/gguf/gguf_frame.h"
#include "model/checkpoint/gguf/gguf_tokenizer.h"
#include "model/checkpoint/gguf/pre_tokenizers.h"
#include "model/checkpoint/gguf/sentencepiece.pb.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/number_bytes.h"

namespace longhaul::model {

namespace {

using core::message;
using nlohmann::ordered_json;

/// What stands under tokenizer.ggml.
class TokenizerKeys {
 public:
  TokenizerKeys(const GgufHeader& header, std::string name)
      : header_(header), name_(std::move(name)) {}

  std::string text(const std::string& key) const {
    const GgufValue* value = find(key);
    return value != nullptr && value->type == GgufValueType::kString ? std::string(value->text)
                                                                     : "";
  }
  bool flag(const std::string& key, bool absent) const {
    const GgufValue* value = find(key);
    return value != nullptr && value->type == GgufValueType::kBool ? value->integer != 0 : absent;
  }
  std::vector<std::string> texts(const std::string& key) const {
    const GgufValue* value = array(key, GgufValueType::kString);
    if (value == nullptr) return {};
    const auto strings = strings_of(*value);
    return {strings.begin(), strings.end()};
  }
  template <class T>
  std::vector<T> numbers(const std::string& key, GgufValueType type) const {
    std::vector<T> numbers;
    const GgufValue* value = array(key, type);
    for (uint64_t i = 0; value != nullptr && i < value->count; ++i) {
      numbers.push_back(number_at<T>(value->elements, i * sizeof(T)));
    }
    return numbers;
  }
  std::string bytes(const std::string& key) const {
    const GgufValue* value = array(key, GgufValueType::kU8);
    return value == nullptr ? "" : std::string(value->elements);
  }
  /// The token of a role ("bos"), none where the file names none.
  std::optional<size_t> token(const std::string& role, size_t tokens) const {
    const GgufValue* value = find(role + "_token_id");
    if (value == nullptr) return std::nullopt;
    if (value->integer < 0 || static_cast<uint64_t>(value->integer) >= tokens) {
      refuse(role + "_token_id", message("is ", value->shown(), ", there are ", tokens, " tokens"));
    }
    return static_cast<size_t>(value->integer);
  }
  [[noreturn]] void refuse(const std::string& key, const std::string& what) const {
    throw core::InputError(message(name_, ": key \"tokenizer.ggml.", key, "\": ", what));
  }

 private:
  const GgufValue* find(const std::string& key) const {
    const auto found = header_.values.find("tokenizer.ggml." + key);
    return found == header_.values.end() ? nullptr : &found->second;
  }
  const GgufValue* array(const std::string& key, GgufValueType element) const {
    const GgufValue* value = find(key);
    if (value == nullptr) return nullptr;
    if (value->type != GgufValueType::kArray || value->element != element) {
      refuse(key, message("is ", value->shown(), ", expected an array of another type"));
    }
    return value;
  }

  const GgufHeader& header_;
  std::string name_;
};

struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
};

Vocabulary read_vocabulary(const TokenizerKeys& keys) {
  Vocabulary vocabulary{keys.texts("tokens"),
                        keys.numbers<int32_t>("token_type", GgufValueType::kI32)};
  const size_t size = vocabulary.tokens.size();
  if (size == 0) keys.refuse("tokens", "missing");
  if (vocabulary.types.empty()) vocabulary.types.assign(size, kGgufNormal);
  if (vocabulary.types.size() != size) {
    keys.refuse("token_type",
                message("has ", vocabulary.types.size(), " entries for ", size, " tokens"));
  }
  // Rows that the embedding has beyond the tokenizer.
  while (!vocabulary.tokens.empty() && vocabulary.types.back() == kGgufUnused) {
    vocabulary.tokens.pop_back();
    vocabulary.types.pop_back();
  }
  std::set<std::string> seen;
  for (const std::string& token : vocabulary.tokens) {
    if (!seen.insert(token).second)
      keys.refuse("tokens", message(in_quotes(token), " stands twice"));
  }
  return vocabulary;
}

ordered_json byte_level(bool uses_pattern) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", uses_pattern}};
}

ordered_json pre_tokenizer(const PreTokenizer& known) {
  if (known.name == "gpt-2") return byte_level(true);
  const ordered_json split = {{"type", "Split"},
                              {"pattern", {{"Regex", known.pattern}}},
                              {"behavior", "Isolated"},
                              {"invert", false}};
  return {{"type", "Sequence"}, {"pretokenizers", {split, byte_level(false)}}};
}

struct Framing {
  std::vector<FrameToken> before, after;
  bool has(size_t id) const {
    const auto is_it = [&](const FrameToken& token) { return token.id == id; };
    return std::any_of(before.begin(), before.end(), is_it) ||
           std::any_of(after.begin(), after.end(), is_it);
  }
};

/// What llama.cpp puts around a text, also where the file does not say it.
Framing framing_of(const TokenizerKeys& keys, const Vocabulary& vocabulary) {
  const auto known = pre_tokenizer_of(keys.text("pre"));
  const std::string model = keys.text("model");
  const bool usually = model == "llama" || (model == "gpt2" && known && known->name == "llama-bpe");
  const auto tokens = [&](const char* role, bool adds) {
    const auto id = keys.token(role, vocabulary.tokens.size());
    return adds && id ? std::vector<FrameToken>{{vocabulary.tokens[*id], *id}}
                      : std::vector<FrameToken>{};
  };
  return {.before = tokens("bos", keys.flag("add_bos_token", usually)),
          .after = tokens("eos", keys.flag("add_eos_token", model == "t5"))};
}

std::string byte_level_json(const TokenizerKeys& keys, const Vocabulary& vocabulary,
                            const PreTokenizer& known) {
  const Framing framing = framing_of(keys, vocabulary);
  ordered_json tokens = ordered_json::object(), added = ordered_json::array();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const int32_t type = vocabulary.types[id];
    if (type == kGgufUnused) continue;
    tokens[vocabulary.tokens[id]] = id;
    if (type == kGgufNormal && !framing.has(id)) continue;
    ordered_json token = {{"id", id}, {"content", vocabulary.tokens[id]}};
    for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) token[flag] = false;
    token["special"] = type != kGgufUserDefined;
    added.push_back(std::move(token));
  }
  ordered_json root = {{"version", "1.0"},
                       {"truncation", nullptr},
                       {"padding", nullptr},
                       {"added_tokens", std::move(added)},
                       {"normalizer", nullptr},
                       {"pre_tokenizer", pre_tokenizer(known)},
                       {"post_processor", post_processor(framing.before, framing.after)},
                       {"decoder", byte_level(true)}};
  root["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", nullptr},
                   {"continuing_subword_prefix", nullptr},
                   {"end_of_word_suffix", nullptr},
                   {"fuse_unk", false},
                   {"byte_fallback", false},
                   {"ignore_merges", known.name == "llama-bpe"},
                   {"vocab", std::move(tokens)},
                   {"merges", keys.texts("merges")}};
  return root.dump() + "\n";
}

constexpr std::array<std::pair<const char*, const char*>, 4> kRoles = {{{"bos", "bos_token"},
                                                                        {"eos", "eos_token"},
                                                                        {"unknown", "unk_token"},
                                                                        {"padding", "pad_token"}}};

TokenIds token_ids(const TokenizerKeys& keys, size_t tokens) {
  const auto spelled = [&](const char* role) {
    const auto id = keys.token(role, tokens);
    return id ? std::to_string(*id) : "null";
  };
  return {.pad = spelled("padding"), .bos = spelled("bos"), .eos = spelled("eos")};
}

std::string config_json(const TokenizerKeys& keys, const Vocabulary& vocabulary,
                        std::string_view chat_template) {
  const Framing framing = framing_of(keys, vocabulary);
  ordered_json root = ordered_json::object();
  // Of SentencePiece's kinds too: it alone splits a text as SentencePiece does.
  root["tokenizer_class"] = "PreTrainedTokenizerFast";
  for (const auto& [role, key] : kRoles) {
    const auto token = keys.token(role, vocabulary.tokens.size());
    if (token) root[key] = vocabulary.tokens[*token];
  }
  root["add_bos_token"] = !framing.before.empty();
  root["add_eos_token"] = !framing.after.empty();
  root["clean_up_tokenization_spaces"] = false;
  if (!chat_template.empty()) root["chat_template"] = chat_template;
  return root.dump(2) + "\n";
}

/// A SentencePiece model file; "" where none can be made, and then why.
std::string sentencepiece_file(const TokenizerKeys& keys, const Vocabulary& vocabulary,
                               std::string& why_not) {
  constexpr int kUnigram = 1, kBpe = 2;
  const auto scores = keys.numbers<float>("scores", GgufValueType::kF32);
  if (scores.size() < vocabulary.tokens.size()) {
    keys.refuse("scores", message("has ", scores.size(), " entries for ", vocabulary.tokens.size(),
                                  " tokens"));
  }
  const bool is_bpe = keys.text("model") == "llama";
  proto::SentencePieceModel model;
  auto& training = *model.mutable_trainer_spec();
  training.set_model_type(is_bpe ? kBpe : kUnigram);
  int unknown = 0;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    auto& piece = *model.add_pieces();
    piece.set_piece(vocabulary.tokens[id]);
    piece.set_score(scores[id]);
    piece.set_type(vocabulary.types[id]);
    unknown += vocabulary.types[id] == kGgufUnknown ? 1 : 0;
    if (vocabulary.types[id] == kGgufByte) training.set_byte_fallback(true);
  }
  if (unknown != 1) {
    why_not = message("it has ", unknown, " unknown tokens, a SentencePiece model has one");
    return "";
  }
  const auto token = [&](const char* role) { return keys.token(role, vocabulary.tokens.size()); };
  if (const auto id = token("unknown")) training.set_unk_piece(vocabulary.tokens[*id]);
  if (const auto id = token("bos")) training.set_bos_piece(vocabulary.tokens[*id]);
  if (const auto id = token("eos")) training.set_eos_piece(vocabulary.tokens[*id]);
  if (const auto id = token("padding")) training.set_pad_piece(vocabulary.tokens[*id]);
  auto& normalizer = *model.mutable_normalizer_spec();
  const std::string charsmap = keys.bytes("precompiled_charsmap");
  normalizer.set_name(charsmap.empty() ? "identity" : "user_defined");
  normalizer.set_precompiled_charsmap(charsmap);
  normalizer.set_add_dummy_prefix(keys.flag("add_space_prefix", true));
  normalizer.set_remove_extra_whitespaces(keys.flag("remove_extra_whitespaces", !is_bpe));
  return model.SerializeAsString();
}

GgufTokenizerFiles without(std::string why) {
  GgufTokenizerFiles result;
  result.missing = std::move(why);
  return result;
}

}  // namespace

GgufTokenizerFiles gguf_tokenizer_files(const GgufHeader& header, const std::string& name) {
  const TokenizerKeys keys(header, name);
  const std::string model = keys.text("model"), pre = keys.text("pre");
  const bool is_byte_level = model == "gpt2";
  const auto known = pre_tokenizer_of(pre);
  if (model.empty() || model == "none") return {};
  if (is_byte_level && !known) {
    return without(message("its pre-tokenizer ", in_quotes(pre), " is not known here"));
  }
  if (!is_byte_level && model != "llama" && model != "t5") {
    return without(message("its kind ", in_quotes(model), " is not known here"));
  }
  const Vocabulary vocabulary = read_vocabulary(keys);
  GgufTokenizerFiles result;
  result.ids = token_ids(keys, vocabulary.tokens.size());
  try {
    std::string text = is_byte_level ? byte_level_json(keys, vocabulary, *known)
                                     : sentencepiece_file(keys, vocabulary, result.missing);
    if (text.empty()) return result;
    result.files.push_back({is_byte_level ? "tokenizer.json" : "tokenizer.model", std::move(text)});
    const auto chat = header.values.find("tokenizer.chat_template");
    result.files.push_back(
        {"tokenizer_config.json",
         config_json(keys, vocabulary, chat == header.values.end() ? "" : chat->second.text)});
  } catch (const nlohmann::json::exception&) {
    keys.refuse("tokens", "hold bytes that are no UTF-8");
  }
  return result;
}

}  // namespace longhaul::model
