#include "data/jsonl.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>

#include "data/utf8.h"
#include "kernels/core/error.h"

namespace longhaul::data {

LineReader::LineReader(TextStream& stream, std::string name, int64_t most_bytes)
    : stream_(stream),
      name_(std::move(name)),
      most_bytes_(static_cast<size_t>(most_bytes)),
      buffer_(size_t{1} << 16) {}

std::string LineReader::place() const { return core::message(name_, ":", number_); }

bool LineReader::next(std::string_view& line) {
  ++number_;
  for (size_t scanned = begin_;;) {
    const char* from = buffer_.data() + begin_;
    const void* newline = std::memchr(buffer_.data() + scanned, '\n', end_ - scanned);
    if (newline != nullptr || at_end_) {
      const size_t size = newline != nullptr
                              ? static_cast<size_t>(static_cast<const char*>(newline) - from)
                              : end_ - begin_;
      if (size > most_bytes_) break;
      line = {from, size};
      begin_ += size + (newline != nullptr ? 1 : 0);
      return newline != nullptr || size > 0;
    }
    const size_t held = end_ - begin_;
    if (held > most_bytes_) break;
    std::memmove(buffer_.data(), from, held);
    if (held > buffer_.size() / 2) buffer_.resize(2 * buffer_.size());
    begin_ = 0;
    scanned = held;
    const size_t wanted = buffer_.size() - held;
    const size_t got = stream_.read(std::span(buffer_).subspan(held));
    at_end_ = got < wanted;
    end_ = held + got;
  }
  throw core::InputError(
      core::message(place(), ": line has more than ", most_bytes_, " bytes, expected fewer"));
}

namespace {
using nlohmann::json;

/// Keeps one string and builds no tree: nothing else of a record is needed.
class TextFinder : public json::json_sax_t {
 public:
  TextFinder(const std::string& key, std::string& text) : key_(key), text_(text) {}

  std::string problem() const {
    if (!problem_.empty()) return problem_;
    if (!object_) return "is not an object, expected one with the key \"" + key_ + "\"";
    if (found_ == Found::kNothing) return "has no key \"" + key_ + "\", expected one with a string";
    if (found_ == Found::kOther) return "\"" + key_ + "\" is not a string, expected one";
    return "";
  }

  bool null() override { return value(); }
  bool boolean(bool) override { return value(); }
  bool number_integer(number_integer_t) override { return value(); }
  bool number_unsigned(number_unsigned_t) override { return value(); }
  bool number_float(number_float_t, const string_t&) override { return value(); }
  bool binary(binary_t&) override { return value(); }
  bool string(string_t& value) override {
    if (wanted()) {
      found_ = Found::kText;
      text_.swap(value);
    }
    return true;
  }
  bool start_object(std::size_t) override {
    value();
    object_ = object_ || depth_ == 0;
    ++depth_;
    return true;
  }
  bool key(string_t& key) override {
    wanted_ = depth_ == 1 && key == key_;
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override {
    value();
    ++depth_;
    return true;
  }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&, const json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 9: why; last read: 'data'",
    // where the data may be large and need not be UTF-8.
    std::string why = error.what();
    why.erase(0, why.find("] ") == std::string::npos ? 0 : why.find("] ") + 2);
    why.resize(std::min({why.size(), why.find("; last read"), size_t{160}}));
    std::replace_if(
        why.begin(), why.end(), [](unsigned char c) { return c < 0x20 || c > 0x7E; }, '?');
    problem_ = "is not JSON: " + why;
    return false;
  }

 private:
  enum class Found { kNothing, kOther, kText };

  bool wanted() { return std::exchange(wanted_, false); }
  bool value() {
    if (wanted()) found_ = Found::kOther;
    return true;
  }
  bool close() {
    --depth_;
    return true;
  }

  const std::string& key_;
  std::string& text_;
  std::string problem_;
  int64_t depth_ = 0;
  bool object_ = false;  // the record is one
  bool wanted_ = false;  // the next value is the one under the key
  Found found_ = Found::kNothing;
};

constexpr size_t kEscapeBytes = 6;  // a backslash, u and four digits

/// The number of an escape at the beginning of `text`; -1 if it is none of that form.
int32_t unicode_escape(std::string_view text) {
  if (text.size() < kEscapeBytes || !text.starts_with("\\u")) return -1;
  int32_t number = 0;
  const char* const end = text.data() + kEscapeBytes;
  const auto [rest, code] = std::from_chars(text.data() + 2, end, number, 16);
  return code == std::errc() && rest == end && number >= 0 ? number : -1;
}

bool is_high(int32_t number) { return number >= 0xD800 && number < 0xDC00; }
bool is_low(int32_t number) { return number >= 0xDC00 && number < 0xE000; }
}  // namespace

bool mend_record(std::string_view line, std::string& mended) {
  std::string buffer;
  const std::string_view text = valid_utf8(line, buffer);
  bool found = first_invalid(line) < line.size();
  mended.clear();
  for (size_t at = 0; at < text.size();) {
    size_t bytes = text[at] == '\\' ? 2 : 1;  // outside strings there is no backslash
    const int32_t number = unicode_escape(text.substr(at));
    if (number >= 0) bytes = kEscapeBytes;
    const bool is_pair = is_high(number) && is_low(unicode_escape(text.substr(at + bytes)));
    if (is_pair) bytes += kEscapeBytes;
    const bool is_half = !is_pair && (is_high(number) || is_low(number));
    mended += is_half ? "\\ufffd" : text.substr(at, bytes);
    found |= is_half;
    at += bytes;
  }
  return found;
}

std::string read_record(std::string_view line, const std::string& key, std::string& text) {
  TextFinder finder(key, text);
  json::sax_parse(line.begin(), line.end(), &finder);
  return finder.problem();
}

}  // namespace longhaul::data
