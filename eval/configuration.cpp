#include "eval/configuration.h"

#include <algorithm>
#include <set>
#include <sstream>

#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

/// Position after a quoted scalar that begins at `at`, or npos if it does not end.
size_t end_of_quoted(const std::string& line, size_t at) {
  const char quote = line[at];
  for (size_t i = at + 1; i < line.size(); ++i) {
    if (quote == '"' && line[i] == '\\') {
      ++i;
    } else if (line[i] == quote) {
      if (quote == '"' || i + 1 >= line.size() || line[i + 1] != '\'') return i + 1;
      ++i;  // '' stands for one quote
    }
  }
  return std::string::npos;
}

/// The line without its comment: # at the beginning or after a space, outside quotes.
std::string without_comment(const std::string& line) {
  for (size_t i = 0; i < line.size(); ++i) {
    const bool starts_token = i == 0 || std::string(" [{,:").find(line[i - 1]) != std::string::npos;
    if (starts_token && (line[i] == '"' || line[i] == '\'')) {
      const size_t end = end_of_quoted(line, i);
      if (end == std::string::npos) return line;
      i = end - 1;
    } else if (line[i] == '#' && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) {
      return line.substr(0, i);
    }
  }
  return line;
}

std::string unquoted(const std::string& text) {
  if (text.size() < 2 || (text[0] != '"' && text[0] != '\'')) return text;
  if (end_of_quoted(text, 0) != text.size()) return text;
  std::string out;
  for (size_t i = 1; i + 1 < text.size(); ++i) {
    const bool escaped = text[0] == '"' ? text[i] == '\\' : text[i] == '\'';
    if (escaped) ++i;
    out += text[i];
  }
  return out;
}

class Reader {
 public:
  explicit Reader(const std::string& name) : name_(name) {}

  void line(const std::string& raw) {
    ++number_;
    const std::string text = without_comment(raw);
    const std::string content = trimmed(text);
    if (content.empty() || content == "---") return;
    if (text.find('\t') < text.find(content[0])) refuse("indentation by tabs");
    const size_t indent = text.find_first_not_of(' ');
    if (content[0] == '-' && (content.size() == 1 || content[1] == ' ')) {
      item(indent, trimmed(content.substr(1)));
    } else {
      entry(indent, content);
    }
  }
  Configuration result() && { return std::move(values_); }

 private:
  struct Level {
    size_t indent = 0;
    std::string path;
    int64_t items = 0;
  };

  [[noreturn]] void refuse(const std::string& found) const {
    throw core::InputError(
        core::message(name_, ":", number_, ": expected `key: value`, found ", found));
  }

  void leave(size_t indent, bool list) {
    // A list may stand at its key's own indentation.
    while (!levels_.empty() &&
           (list ? levels_.back().indent > indent : levels_.back().indent >= indent)) {
      levels_.pop_back();
    }
  }

  void entry(size_t indent, const std::string& content) {
    size_t colon;
    if (content[0] == '"' || content[0] == '\'') {
      colon = end_of_quoted(content, 0);
      if (colon == std::string::npos || colon >= content.size() || content[colon] != ':') {
        refuse("'" + content + "'");
      }
    } else {
      colon = content.find(": ");
      if (colon == std::string::npos && content.back() == ':') colon = content.size() - 1;
      if (colon == std::string::npos || colon == 0) refuse("'" + content + "'");
    }
    const std::string key = unquoted(trimmed(content.substr(0, colon)));
    const std::string value = trimmed(content.substr(colon + 1));
    if (value == "|" || value == ">" || (!value.empty() && (value[0] == '&' || value[0] == '*'))) {
      refuse("'" + value + "'");
    }
    leave(indent, false);
    const std::string path = levels_.empty() ? key : levels_.back().path + "." + key;
    if (value.empty()) {
      levels_.push_back({.indent = indent, .path = path});
    } else {
      values_.emplace_back(path, unquoted(value));
    }
  }

  void item(size_t indent, const std::string& value) {
    leave(indent, true);
    if (levels_.empty()) refuse("a list item without a key");
    Level& level = levels_.back();
    values_.emplace_back(core::message(level.path, "[", level.items++, "]"), unquoted(value));
  }

  std::string name_;
  int64_t number_ = 0;
  std::vector<Level> levels_;
  Configuration values_;
};

}  // namespace

Configuration read_configuration(const std::string& yaml, const std::string& name) {
  Reader reader(name);
  std::istringstream in(yaml);
  for (std::string line; std::getline(in, line);) reader.line(line);
  return std::move(reader).result();
}

const std::string* find_value(const Configuration& configuration, const std::string& key) {
  const auto found = std::find_if(configuration.begin(), configuration.end(),
                                  [&](const auto& entry) { return entry.first == key; });
  return found == configuration.end() ? nullptr : &found->second;
}

std::vector<std::string> differing_keys(const std::vector<const Configuration*>& configurations) {
  std::vector<std::string> keys;
  std::set<std::string> seen{"run.folder"};
  for (const Configuration* configuration : configurations) {
    for (const auto& entry : *configuration) {
      if (!seen.insert(entry.first).second) continue;
      const bool same = std::all_of(configurations.begin(), configurations.end(),
                                    [&](const Configuration* other) {
                                      const std::string* found = find_value(*other, entry.first);
                                      return found != nullptr && *found == entry.second;
                                    });
      if (!same) keys.push_back(entry.first);
    }
  }
  return keys;
}

}  // namespace longhaul::eval
