#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "data/token_files/layout.h"
#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
constexpr std::string_view kMagic = "\x93NUMPY";
constexpr int64_t kMostHeader = int64_t{1} << 20;
constexpr int64_t kMostTokens = int64_t{1} << 48;

/// The header: a literal of a Python dictionary with the keys descr, fortran_order and shape.
class HeaderReader {
 public:
  HeaderReader(std::string_view text, const std::string& name) : rest_(text), name_(name) {}

  void read() {
    expect('{');
    while (!take('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr") {
        descr = quoted();
      } else if (key == "shape") {
        shape = tuple();
      } else if (key == "fortran_order") {
        if (!take_word("True") && !take_word("False")) refuse("fortran_order is not True or False");
      } else {
        refuse(core::message("has the key '", key, "', expected descr, fortran_order and shape"));
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!rest_.empty()) refuse("goes on after its end");
    if (descr.empty()) refuse("has no descr");
    if (!shape) refuse("has no shape");
  }

  std::string descr;
  std::optional<std::vector<int64_t>> shape;

  [[noreturn]] void refuse(const std::string& what) const {
    throw core::InputError(core::message(name_, ": .npy header: ", what));
  }

 private:
  void skip_space() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) rest_.remove_prefix(1);
  }
  bool take(char c) {
    skip_space();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take_word(std::string_view word) {
    skip_space();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  void expect(char c) {
    if (!take(c)) refuse(core::message("expected '", c, "' in the description"));
  }
  std::string quoted() {
    skip_space();
    const char quote = rest_.empty() ? '\0' : rest_[0];
    if (quote != '\'' && quote != '"') refuse("expected a text in quotes (one simple type)");
    const size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos) refuse("a text has no end");
    std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }
  std::vector<int64_t> tuple() {
    std::vector<int64_t> values;
    expect('(');
    while (!take(')')) {
      values.push_back(number());
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return values;
  }
  int64_t number() {
    skip_space();
    int64_t value = 0;
    size_t digits = 0;
    for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits) {
      value = 10 * value + (rest_[digits] - '0');
      if (value > kMostTokens) refuse("shape is too large");
    }
    if (digits == 0) refuse("expected a number in shape");
    rest_.remove_prefix(digits);
    return value;
  }

  std::string_view rest_;
  const std::string& name_;
};

Element element_of(const HeaderReader& header) {
  using Known = std::pair<std::string_view, Element>;
  static constexpr std::array kKnown{Known{"|u1", Element::kU8},  Known{"|i1", Element::kI8},
                                     Known{"<u2", Element::kU16}, Known{"<i2", Element::kI16},
                                     Known{"<u4", Element::kU32}, Known{"<i4", Element::kI32},
                                     Known{"<u8", Element::kU64}, Known{"<i8", Element::kI64}};
  for (const auto& [descr, element] : kKnown)
    if (header.descr == descr) return element;
  header.refuse(core::message("descr is '", header.descr,
                              "', expected little-endian integers such as '<u2' or '<i4'"));
}
}  // namespace

bool is_npy(const ByteSource& file) {
  return file.size() >= std::ssize(kMagic) && file.text(0, std::ssize(kMagic)) == kMagic;
}

TokenLayout read_npy(const ByteSource& file, const std::string& name) {
  const int64_t size = file.size();
  const auto refuse = [&](const auto&... what) {
    throw core::InputError(core::message(name, ": ", what...));
  };
  if (size < 12) refuse("is cut off in its .npy header");
  const auto version = static_cast<int>(value_at<uint8_t>(file, 6));
  if (version < 1 || version > 3)
    refuse(".npy header: version is ", version, ", expected 1, 2 or 3");
  const int64_t begin = version == 1 ? 10 : 12;
  const int64_t length =
      version == 1 ? int64_t{value_at<uint16_t>(file, 8)} : int64_t{value_at<uint32_t>(file, 8)};
  if (length > kMostHeader || begin + length > size) refuse("is cut off in its .npy header");
  const std::string text = file.text(begin, length);
  HeaderReader header(text, name);
  header.read();
  if (header.shape->size() != 1)
    refuse(".npy header: has ", header.shape->size(), " dimensions, expected 1");
  TokenLayout layout{.format = "npy",
                     .element = element_of(header),
                     .offset = begin + length,
                     .tokens = header.shape->front()};
  const int64_t expected = layout.offset + layout.tokens * bytes_of(layout.element);
  if (size != expected)
    refuse("has ", size, " bytes, expected ", expected, " (", layout.tokens, " elements ",
           header.descr, " in its .npy header)");
  return layout;
}

}  // namespace longhaul::data
