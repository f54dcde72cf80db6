// Small tokenizer.json files: every byte is the token of its number, merges follow from 256 up.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/bpe/byte_alphabet.h"
#include "data/tokenizer.h"
#include "tests/data/scratch.h"

namespace longhaul::data::testing {

inline nlohmann::json byte_level_json(
    const std::vector<std::pair<std::string, std::string>>& merges) {
  nlohmann::json model{{"type", "BPE"}, {"merges", nlohmann::json::array()}};
  for (int byte = 0; byte < 256; ++byte)
    model["vocab"][spell_byte(static_cast<unsigned char>(byte))] = byte;
  for (const auto& [left, right] : merges) {
    model["vocab"].emplace(left + right, model["vocab"].size());
    model["merges"].push_back(left + " " + right);
  }
  const nlohmann::json byte_level{{"type", "ByteLevel"}, {"add_prefix_space", false}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"added_tokens", nlohmann::json::array()},
          {"model", model}};
}

/// Adds a token behind all others and returns its number.
inline int32_t add_token(nlohmann::json& file, const std::string& content,
                         const nlohmann::json& properties = nlohmann::json::object()) {
  const auto id = static_cast<int32_t>(file["model"]["vocab"].size() + file["added_tokens"].size());
  nlohmann::json token{{"id", id}, {"content", content}};
  token.update(properties);
  file["added_tokens"].push_back(token);
  return id;
}

inline std::unique_ptr<Tokenizer> made(const Scratch& scratch, const nlohmann::json& file,
                                       const std::string& end_of_document = "0") {
  write_file(scratch / "tokenizer.json", file.dump());
  return make_tokenizer((scratch / "tokenizer.json").string(), end_of_document);
}

inline std::vector<int32_t> encoded(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> tokens;
  tokenizer.encode(text, tokens);
  return tokens;
}

}  // namespace longhaul::data::testing
