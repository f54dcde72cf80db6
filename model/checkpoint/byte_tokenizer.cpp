#include "model/checkpoint/byte_tokenizer.h"

#include <nlohmann/json.hpp>

namespace longhaul::model {

namespace {

using nlohmann::ordered_json;

bool is_printable(int byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

ordered_json byte_level() {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", false},
          {"use_regex", false}};
}

}  // namespace

std::vector<std::string> byte_level_characters() {
  std::vector<std::string> characters;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const int code = is_printable(byte) ? byte : next++;
    characters.push_back(code < 0x80 ? std::string(1, static_cast<char>(code))
                                     : std::string{static_cast<char>(0xc0 | code >> 6),
                                                   static_cast<char>(0x80 | (code & 0x3f))});
  }
  return characters;
}

std::string byte_tokenizer_json() {
  ordered_json end = {{"id", kByteEndOfDocument}, {"content", kByteEndOfDocumentText}};
  for (const char* flag : {"single_word", "lstrip", "rstrip", "normalized"}) end[flag] = false;
  end["special"] = true;
  ordered_json vocabulary;
  const auto characters = byte_level_characters();
  for (size_t byte = 0; byte < characters.size(); ++byte) vocabulary[characters[byte]] = byte;
  ordered_json root;
  root["version"] = "1.0";
  root["truncation"] = nullptr;
  root["padding"] = nullptr;
  root["added_tokens"] = ordered_json::array({std::move(end)});
  root["normalizer"] = nullptr;
  root["pre_tokenizer"] = byte_level();
  root["post_processor"] = nullptr;
  root["decoder"] = byte_level();
  root["model"] = {{"type", "BPE"},
                   {"dropout", nullptr},
                   {"unk_token", nullptr},
                   {"continuing_subword_prefix", nullptr},
                   {"end_of_word_suffix", nullptr},
                   {"fuse_unk", false},
                   {"byte_fallback", false},
                   {"ignore_merges", false},
                   {"vocab", std::move(vocabulary)},
                   {"merges", ordered_json::array()}};
  return root.dump(2) + "\n";
}

std::string byte_tokenizer_config_json() {
  const ordered_json root = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                             {"bos_token", kByteEndOfDocumentText},
                             {"eos_token", kByteEndOfDocumentText},
                             {"pad_token", kByteEndOfDocumentText},
                             {"clean_up_tokenization_spaces", false}};
  return root.dump(2) + "\n";
}

}  // namespace longhaul::model
