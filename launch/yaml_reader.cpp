#include "launch/yaml_reader.h"

#include <charconv>
#include <limits>

namespace longhaul::launch {

using core::message;
using Kind = YamlNode::Kind;

namespace {

std::string clipped(const std::string& text) {
  constexpr size_t kMost = 60;
  if (text.size() <= kMost) return text;
  size_t end = kMost;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;  // whole characters
  return text.substr(0, end) + "…";
}

std::string found_in(const YamlNode& node) {
  switch (node.kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kSequence:
      return node.values.empty() ? "an empty list" : "a list";
    case Kind::kMapping:
      return "a section";
    default:
      return (node.quoted ? "the text '" : "'") + clipped(node.text) + "'";
  }
}

bool is_plain(const YamlNode& node) { return node.kind == Kind::kScalar && !node.quoted; }

size_t digits_from(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
  return end - at;
}

// -?(0|[1-9][0-9]*) at the front: its length, 0 if it is not there.
size_t whole_length(std::string_view text) {
  const size_t sign = !text.empty() && text[0] == '-' ? 1 : 0;
  const size_t digits = digits_from(text, sign);
  if (digits == 0 || (digits > 1 && text[sign] == '0')) return 0;
  return sign + digits;
}

// whole(.digits)?([eE][+-]?digits)? or a number that starts with the point.
bool is_decimal(std::string_view text) {
  const size_t sign = !text.empty() && text[0] == '-' ? 1 : 0;
  const bool point_first = text.size() > sign && text[sign] == '.';
  size_t at = point_first ? sign : whole_length(text);
  if (at == 0 && !point_first) return false;
  if (at < text.size() && text[at] == '.') {
    const size_t digits = digits_from(text, at + 1);
    if (point_first && digits == 0) return false;
    at += 1 + digits;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const size_t digits = digits_from(text, at);
    if (digits == 0) return false;
    at += digits;
  }
  return at == text.size();
}

template <class T>
std::string read_whole(const YamlNode& node, T& value) {
  if (!is_plain(node) || whole_length(node.text) != node.text.size()) {
    return expected(node, "a whole number (decimal, no leading zeros)");
  }
  const char* end = node.text.data() + node.text.size();
  if (std::from_chars(node.text.data(), end, value).ec != std::errc{}) {
    return expected(node, message("a whole number from ", std::numeric_limits<T>::min(), " to ",
                                  std::numeric_limits<T>::max()));
  }
  return "";
}

// Edits (insert, delete, replace, swap of neighbours) from a to b: Damerau's distance, restricted.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before = std::exchange(last, row);
  }
  return last[b.size()];
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

}  // namespace

std::string expected(const YamlNode& node, std::string_view what) {
  return message("found ", found_in(node), ", expected ", what);
}

bool is_null(const YamlNode& node) {
  return node.kind == Kind::kNull || (is_plain(node) && (node.text == "null" || node.text == "~"));
}

std::string read_scalar(const YamlNode& node, bool& value) {
  if (!is_plain(node) || (node.text != "true" && node.text != "false")) {
    return expected(node, "true or false");
  }
  value = node.text == "true";
  return "";
}

std::string read_scalar(const YamlNode& node, int64_t& value) { return read_whole(node, value); }
std::string read_scalar(const YamlNode& node, int& value) { return read_whole(node, value); }

std::string read_scalar(const YamlNode& node, double& value) {
  if (is_plain(node) && (node.text == ".inf" || node.text == "-.inf")) {
    const double infinity = std::numeric_limits<double>::infinity();
    value = node.text == ".inf" ? infinity : -infinity;
    return "";
  }
  if (!is_plain(node) || !is_decimal(node.text)) {
    return expected(node, "a number (decimal, no leading zeros)");
  }
  const char* end = node.text.data() + node.text.size();
  if (std::from_chars(node.text.data(), end, value).ec != std::errc{}) {
    return expected(node, "a number that a double can hold");
  }
  return "";
}

std::string read_scalar(const YamlNode& node, std::string& value) {
  if (node.kind != Kind::kScalar) return expected(node, "a text");
  value = node.text;
  return "";
}

std::string read_name(const YamlNode& node, const std::vector<std::string_view>& names,
                      size_t& index) {
  const auto found = std::find(names.begin(), names.end(), node.text);
  if (node.kind == Kind::kScalar && found != names.end()) {
    index = static_cast<size_t>(found - names.begin());
    return "";
  }
  std::string listed;
  for (const auto& name : names) listed += (listed.empty() ? "" : " | ") + std::string(name);
  const std::string near = close_match(node.text, {names.begin(), names.end()});
  return expected(node, listed) + (near.empty() ? "" : " (did you mean " + near + "?)");
}

std::string close_match(std::string_view name, const std::vector<std::string>& names) {
  constexpr size_t kLongest = 64;  // nothing longer is a misspelt key
  if (name.empty() || name.size() > kLongest) return "";
  std::string best;
  size_t least = std::max<size_t>(1, name.size() / 3) + 1;
  for (const auto& candidate : names) {
    const size_t distance = edit_distance(name, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

const YamlNode* YamlReader::given(const char* name) {
  Scope& scope = scopes_.back();
  scope.names.emplace_back(name);
  all_paths_.push_back(path_of(name));
  return scope.node == nullptr ? nullptr : document_.child(*scope.node, name);
}

std::string YamlReader::path_of(const std::string& name) const {
  const std::string& scope = scopes_.back().path;
  return scope.empty() ? name : scope + "." + name;
}

void YamlReader::report(const char* name, const std::string& what) {
  const std::string path = path_of(name);
  document_.report(document_.line_of(path), path, what);
}

void YamlReader::check_section(const YamlNode& node, const std::string& path) {
  if (node.kind != Kind::kMapping && node.kind != Kind::kNull) {
    document_.report(node.line, path, expected(node, "a section (key: value lines)"));
  }
}

void YamlReader::close_scope() {
  const Scope scope = std::move(scopes_.back());
  scopes_.pop_back();
  if (scope.node == nullptr) return;
  for (size_t i = 0; i < scope.node->keys.size(); ++i) {
    const std::string& key = scope.node->keys[i];
    if (std::find(scope.names.begin(), scope.names.end(), key) == scope.names.end()) {
      unknown_.push_back({scope.node->key_lines[i], scope.path, key, scope.names});
    }
  }
}

void YamlReader::finish() {
  close_scope();
  for (const auto& unknown : unknown_) {
    const std::string key = clipped(unknown.name);
    const std::string path = unknown.path.empty() ? key : unknown.path + "." + key;
    std::string near = close_match(unknown.name, unknown.siblings);
    for (const auto& known : all_paths_) {
      if (near.empty() && last_part(known) == unknown.name) near = known;
    }
    document_.report(unknown.line, path,
                     "unknown key" + (near.empty() ? "" : " (did you mean " + near + "?)"));
  }
}

}  // namespace longhaul::launch
