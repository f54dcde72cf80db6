// The pre-tokenizer: cuts text into the words that merges happen in.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/bpe/description.h"
#include "data/bpe/pattern.h"

namespace longhaul::data {

class Splitter {
 public:
  /// InputError for a pattern that is not understood.
  explicit Splitter(const std::vector<SplitStep>& steps);

  /// One thread at a time.
  struct Scratch {
    Pattern::Scratch pattern;
    std::vector<std::string> prefixed;  // one for each step
  };
  Scratch make_scratch() const;

  /// take(word) for each word of `text` (UTF-8) in order. A word is valid until take returns.
  template <class Take>
  void split(std::string_view text, Scratch& scratch, const Take& take) const {
    run(0, text, scratch, take);
  }

 private:
  struct Step {
    SplitStep::Kind kind;
    std::vector<Pattern> pattern;  // one, or none
    bool keep_matches, keep_others;
  };

  template <class Take>
  void run(size_t number, std::string_view text, Scratch& scratch, const Take& take) const {
    if (text.empty()) return;
    if (number == steps_.size()) return take(text);
    const Step& step = steps_[number];
    if (step.kind == SplitStep::Kind::kPrefixSpace) {
      if (text[0] != ' ') {
        std::string& prefixed = scratch.prefixed[number];
        prefixed.assign(1, ' ').append(text);
        text = prefixed;
      }
      return run(number + 1, text, scratch, take);
    }
    size_t done = 0;
    const auto hand_on = [&](size_t end, bool keep) {
      if (keep && end > done) run(number + 1, text.substr(done, end - done), scratch, take);
      done = end;
    };
    for (size_t from = 0; from <= text.size();) {
      const auto match = step.pattern[0].find(text, from, scratch.pattern);
      if (!match.found) break;
      hand_on(match.begin, step.keep_others);
      hand_on(match.end, step.keep_matches);
      from = match.end > match.begin ? match.end : after_character(text, match.end);
    }
    hand_on(text.size(), step.keep_others);
  }
  static size_t after_character(std::string_view text, size_t at);

  std::vector<Step> steps_;
};

/// Whether the steps are known to cut between a letter of ASCII and a space after it, so that
/// neither side matters to the words of the other.
bool splits_after_letters(const std::vector<SplitStep>& steps);

}  // namespace longhaul::data
