#include "launch/sweep/constraint.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <string_view>

#include "kernels/core/error.h"

namespace longhaul::launch {

using core::InputError;
using core::message;

namespace {

constexpr std::array<std::string_view, 12> kSigns{"==", "!=", "<=", ">=", "<", ">",
                                                  "+",  "-",  "*",  "/",  "(", ")"};

bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

size_t word_length(std::string_view text) {
  size_t end = 0;
  while (end < text.size() && (is_letter(text[end]) || is_digit(text[end]) || text[end] == '.')) {
    ++end;
  }
  return end;
}

}  // namespace

Constraint::Constraint(const std::string& text) : text_(text) {
  std::string_view rest = text_;
  const auto take = [&](Kind kind, size_t length, std::string content, double number = 0) {
    tokens_.push_back({kind, std::move(content), number});
    rest.remove_prefix(length);
  };
  while (true) {
    while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\t')) rest.remove_prefix(1);
    if (rest.empty()) break;
    const auto sign = std::find_if(kSigns.begin(), kSigns.end(), [&](std::string_view candidate) {
      return rest.substr(0, candidate.size()) == candidate;
    });
    if (is_digit(rest[0]) || (rest[0] == '.' && rest.size() > 1 && is_digit(rest[1]))) {
      double number = 0;
      const auto [end, code] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
      const auto length = static_cast<size_t>(end - rest.data());
      if (code != std::errc{}) throw InputError(message("'", text_, "': holds a number too large"));
      take(Kind::kNumber, length, std::string(rest.substr(0, length)), number);
    } else if (is_letter(rest[0])) {
      const size_t length = word_length(rest);
      take(Kind::kWord, length, std::string(rest.substr(0, length)));
    } else if (rest[0] == '\'' || rest[0] == '"') {
      const size_t end = rest.find(rest[0], 1);
      if (end == std::string_view::npos) throw InputError(message("'", text_, "': open quotes"));
      take(Kind::kText, end + 1, std::string(rest.substr(1, end - 1)));
    } else if (sign != kSigns.end()) {
      take(Kind::kSign, sign->size(), std::string(*sign));
    } else {
      throw InputError(message("'", text_, "': found '", rest[0], "', expected an expression"));
    }
  }
  tokens_.emplace_back();
}

/// Recursive descent; values come up as the tokens go by.
class Constraint::Evaluation {
 public:
  Evaluation(const Constraint& constraint, const Lookup& lookup)
      : constraint_(constraint), lookup_(lookup) {}

  bool run() {
    const bool result = truth(disjunction());
    if (now().kind != Kind::kEnd) fail(message("found '", now().text, "' after the end"));
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(message("'", constraint_.text_, "': ", what));
  }
  const Token& now() const { return constraint_.tokens_[at_]; }
  bool accept(Kind kind, std::string_view text) {
    if (now().kind != kind || now().text != text) return false;
    ++at_;
    return true;
  }
  bool truth(const Value& value) const {
    if (const bool* is_true = std::get_if<bool>(&value)) return *is_true;
    fail("expected a condition, such as a comparison");
  }
  double number(const Value& value) const {
    if (const double* known = std::get_if<double>(&value)) return *known;
    fail("expected numbers around + - * / < <= > >=");
  }

  Value disjunction() {
    Value left = conjunction();
    while (accept(Kind::kWord, "or")) {
      const bool right = truth(conjunction());
      left = truth(left) || right;
    }
    return left;
  }
  Value conjunction() {
    Value left = negation();
    while (accept(Kind::kWord, "and")) {
      const bool right = truth(negation());
      left = truth(left) && right;
    }
    return left;
  }
  Value negation() {
    if (accept(Kind::kWord, "not")) return !truth(negation());
    return comparison();
  }
  Value comparison() {
    const Value left = sum();
    for (const bool wanted : {true, false}) {
      if (!accept(Kind::kSign, wanted ? "==" : "!=")) continue;
      const Value right = sum();
      if (left.index() != right.index()) fail("compares values of two kinds");
      return (left == right) == wanted;
    }
    if (accept(Kind::kSign, "<=")) return number(left) <= number(sum());
    if (accept(Kind::kSign, ">=")) return number(left) >= number(sum());
    if (accept(Kind::kSign, "<")) return number(left) < number(sum());
    if (accept(Kind::kSign, ">")) return number(left) > number(sum());
    return left;
  }
  Value sum() {
    Value left = product();
    while (true) {
      if (accept(Kind::kSign, "+")) {
        left = number(left) + number(product());
      } else if (accept(Kind::kSign, "-")) {
        left = number(left) - number(product());
      } else {
        return left;
      }
    }
  }
  Value product() {
    Value left = factor();
    while (true) {
      if (accept(Kind::kSign, "*")) {
        left = number(left) * number(factor());
      } else if (accept(Kind::kSign, "/")) {
        left = number(left) / number(factor());
      } else {
        return left;
      }
    }
  }
  Value factor() {
    if (accept(Kind::kSign, "-")) return -number(factor());
    if (accept(Kind::kSign, "(")) {
      Value inner = disjunction();
      if (!accept(Kind::kSign, ")")) fail("lacks a closing parenthesis");
      return inner;
    }
    const Token token = now();
    ++at_;
    switch (token.kind) {
      case Kind::kNumber:
        return token.number;
      case Kind::kText:
        return token.text;
      case Kind::kWord:
        return word(token.text);
      default:
        fail(token.kind == Kind::kEnd ? "ends too early" : message("found '", token.text, "'"));
    }
  }
  Value word(const std::string& text) const {
    if (text == "true" || text == "false") return text == "true";
    if (text == "and" || text == "or" || text == "not") fail(message("found '", text, "'"));
    return text.find('.') == std::string::npos ? Value(text) : lookup_(text);
  }

  const Constraint& constraint_;
  const Lookup& lookup_;
  size_t at_ = 0;
};

bool Constraint::holds(const Lookup& lookup) const { return Evaluation(*this, lookup).run(); }

}  // namespace longhaul::launch
