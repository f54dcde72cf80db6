#include "data/bpe/splitter.h"

#include <set>

#include "data/utf8.h"

namespace longhaul::data {

Splitter::Splitter(const std::vector<SplitStep>& steps) {
  for (const SplitStep& step : steps) {
    Step made{step.kind, {}, step.keep_matches, step.keep_others};
    if (step.kind == SplitStep::Kind::kPattern) made.pattern.emplace_back(step.pattern);
    if (step.kind == SplitStep::Kind::kDigits)
      made.pattern.emplace_back(step.each ? R"(\p{N})" : R"(\p{N}+)");
    steps_.push_back(std::move(made));
  }
}

Splitter::Scratch Splitter::make_scratch() const {
  Scratch scratch;
  scratch.prefixed.resize(steps_.size());
  return scratch;
}

size_t Splitter::after_character(std::string_view text, size_t at) {
  return at < text.size() ? at + next_character(text.substr(at)).bytes : at + 1;
}

bool splits_after_letters(const std::vector<SplitStep>& steps) {
  // Of GPT-2 (two spellings), Llama 3 and Qwen 2. No alternative of these goes on from a letter to
  // a space, and only \s+(?!\S) looks ahead, which does not end with a letter.
  static const std::set<std::string> kKnown{
      R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
      R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
  bool known = false;
  for (const SplitStep& step : steps) {
    if (step.kind != SplitStep::Kind::kPattern) continue;
    if (kKnown.count(step.pattern) == 0) return false;
    known = true;
  }
  return known;
}

}  // namespace longhaul::data
