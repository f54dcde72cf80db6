#include "data/bpe/pattern_dialect.h"

#include <cctype>
#include <set>
#include <string_view>

#include "data/bpe/pattern.h"
#include "data/utf8.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
/// Unicode's White_Space. PCRE2's \s has U+180E besides.
constexpr const char* kWhiteSpace =
    R"(\x09-\x0d\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

bool is_category(const std::string& name) {
  static const std::set<std::string> kCategories{
      "L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N",  "Nd", "Nl", "No", "P", "Pc",
      "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp"};
  return kCategories.count(name) > 0;
}

class Translator {
 public:
  explicit Translator(const std::string& pattern) : rest_(pattern), size_(pattern.size()) {}

  std::string run(std::string& problem) {
    if (first_invalid(rest_) != rest_.size()) refuse("is no UTF-8");
    while (problem_.empty() && !rest_.empty()) in_class_ ? class_element() : element();
    if (in_class_) refuse("a class has no end");
    problem = problem_;
    return out_;
  }

 private:
  void refuse(const std::string& what) {
    if (problem_.empty())
      problem_ = core::message("pattern, at byte ", size_ - rest_.size(), ": ", what,
                               ", which is not supported");
  }
  bool take(std::string_view beginning) {
    if (!rest_.starts_with(beginning)) return false;
    rest_.remove_prefix(beginning.size());
    return true;
  }
  void copy(size_t bytes) {
    out_ += rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
  }

  void element() {
    switch (rest_[0]) {
      case '\\':
        return escape();
      case '[':
        return begin_class();
      case '(':
        return group();
      case '{':
        return repetition();
      case '?':
      case '*':
      case '+':
        return quantifier(1);
      case '^':
      case '$':
        return refuse("an anchor");
      default:
        copy(next_character(rest_).bytes);
    }
  }

  void begin_class() {
    copy(1);
    if (rest_.starts_with('^')) copy(1);
    if (rest_.starts_with(']')) return refuse("a class that begins with ]");
    in_class_ = true;
  }

  void class_element() {
    if (rest_[0] == '\\') return escape();
    if (rest_[0] == '[') return refuse("a class in a class");
    if (rest_.starts_with("&&")) return refuse("an intersection of classes");
    if (rest_[0] == ']') in_class_ = false;
    copy(next_character(rest_).bytes);
  }

  void group() {
    for (const std::string_view known : {"(?:", "(?=", "(?!", "(?i:"})
      if (rest_.starts_with(known)) return copy(known.size());
    if (rest_.starts_with("(?") || rest_.starts_with("(*")) return refuse("this kind of group");
    copy(1);
  }

  // {n}, {n,} and {n,m} are alike; {,m} and a literal { are not.
  void repetition() {
    size_t at = 1;
    const auto digits = [&] {
      const size_t begin = at;
      while (at < rest_.size() && std::isdigit(static_cast<unsigned char>(rest_[at]))) ++at;
      return at > begin;
    };
    bool good = digits();
    if (at < rest_.size() && rest_[at] == ',') ++at, digits();
    good = good && at < rest_.size() && rest_[at] == '}';
    if (!good) return refuse("a brace that is no repetition");
    quantifier(at + 1);
    // Possessive for PCRE2, greedy and repeated for Oniguruma.
    if (rest_.starts_with('+')) refuse("a + after {…}");
  }

  void quantifier(size_t bytes) {
    copy(bytes);
    if (rest_.starts_with('?') || (bytes == 1 && rest_.starts_with('+'))) copy(1);
    if (!rest_.empty() && std::string_view("*+?{").find(rest_[0]) != std::string_view::npos)
      refuse("a repetition of a repetition");
  }

  void escape() {
    if (take("\\s")) {
      out_ += in_class_ ? kWhiteSpace : core::message('[', kWhiteSpace, ']');
    } else if (!in_class_ && take("\\S")) {
      out_ += core::message("[^", kWhiteSpace, ']');
    } else if (rest_.starts_with("\\p{") || rest_.starts_with("\\P{")) {
      const size_t end = rest_.find('}');
      const bool known =
          end != std::string_view::npos && is_category(std::string(rest_.substr(3, end - 3)));
      known ? copy(end + 1) : refuse("a property that is no general category");
    } else if (rest_.size() >= 2 &&
               std::string_view("rntdfv").find(rest_[1]) != std::string_view::npos) {
      // PCRE2's \v is a class; Oniguruma's one character.
      if (rest_[1] == 'v') return refuse("\\v");
      copy(2);
    } else if (rest_.size() >= 2 && std::ispunct(static_cast<unsigned char>(rest_[1]))) {
      copy(2);
    } else {
      refuse(core::message("the escape ", rest_.substr(0, 2)));
    }
  }

  std::string_view rest_;
  size_t size_;
  std::string out_, problem_;
  bool in_class_ = false;
};
}  // namespace

std::string translate_pattern(const std::string& pattern, std::string& problem) {
  return Translator(pattern).run(problem);
}

std::string literal_pattern(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (std::ispunct(static_cast<unsigned char>(c))) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace longhaul::data
