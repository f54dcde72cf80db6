#include "model/checkpoint/gguf/pre_tokenizers.h"

#include <array>
#include <utility>

namespace longhaul::model {

namespace {

// The first of a name is the one that files are made with.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kPatterns = {{
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "llama-bpe"},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "qwen2"},
    {R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "qwen2"},
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", "gpt-2"},
}};

// Other names of the same cuts.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kSynonyms = {{
    {"mpt", "gpt-2"},
    {"olmo", "gpt-2"},
    {"gpt2", "gpt-2"},
    {"llama3", "llama-bpe"},
    {"llama-v3", "llama-bpe"},
    {"deepseek-r1-qwen", "qwen2"},
}};

}  // namespace

std::optional<PreTokenizer> pre_tokenizer_with(std::string_view pattern) {
  for (const auto& [known, name] : kPatterns) {
    if (pattern == known) return PreTokenizer{std::string(name), std::string(known)};
  }
  return std::nullopt;
}

std::optional<PreTokenizer> pre_tokenizer_of(std::string_view name) {
  for (const auto& [synonym, usual] : kSynonyms) {
    if (name == synonym) name = usual;
  }
  for (const auto& [pattern, known] : kPatterns) {
    if (name == known) return PreTokenizer{std::string(known), std::string(pattern)};
  }
  return std::nullopt;
}

}  // namespace longhaul::model
