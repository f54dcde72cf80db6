// A pattern of a pre-tokenizer, on PCRE2.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace longhaul::data {

/// The files hold patterns in Oniguruma's dialect. What both dialects read alike is translated
/// (white space: Unicode's White_Space, as there); everything else is refused.
class Pattern {
 public:
  /// Throws core::InputError; see problem_of.
  explicit Pattern(const std::string& pattern);
  ~Pattern();
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;

  /// What matching needs; one thread at a time.
  class Scratch {
   public:
    Scratch();
    ~Scratch();
    Scratch(Scratch&&) noexcept;
    Scratch& operator=(Scratch&&) noexcept;

   private:
    friend class Pattern;
    struct State;
    std::unique_ptr<State> state_;
  };

  struct Match {
    size_t begin = 0, end = 0;
    bool found = false;
  };
  /// The first match at or after `from` in `text`, which must be UTF-8. InputError if the pattern
  /// needs too many steps on it.
  Match find(std::string_view text, size_t from, Scratch& scratch) const;

  /// "" or why a pattern is not understood.
  static std::string problem_of(const std::string& pattern);

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

/// A pattern that matches `text` itself.
std::string literal_pattern(std::string_view text);

}  // namespace longhaul::data
