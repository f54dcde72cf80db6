// A condition over the keys of a run's configuration, such as
//   data.length * data.sequences <= 65536 and not initial_state.source == tbtt
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

namespace longhaul::launch {

/// or, and, not; == != < <= > >=; + - * /; parentheses. A word with a point is a key; other words
/// are texts (true and false: truth values), as is what stands in ' or ".
class Constraint {
 public:
  using Value = std::variant<bool, double, std::string>;
  /// The value of a key; throws InputError for what is none.
  using Lookup = std::function<Value(const std::string& key)>;

  /// InputError where the text holds what is no part of an expression.
  explicit Constraint(const std::string& text);
  /// InputError (naming the expression) if it is not understood or compares values of two kinds.
  bool holds(const Lookup& lookup) const;

 private:
  enum class Kind : uint8_t { kNumber, kText, kWord, kSign, kEnd };
  struct Token {
    Kind kind = Kind::kEnd;
    std::string text;
    double number = 0;
  };
  class Evaluation;

  std::string text_;
  std::vector<Token> tokens_;  // the last one is kEnd
};

}  // namespace longhaul::launch
