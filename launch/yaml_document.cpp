#include "launch/yaml_document.h"

#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <utility>

#include "launch/utf8.h"
#include "launch/yaml_builder.h"

namespace longhaul::launch {

using core::InputError;
using core::message;

namespace {

void check_text(const std::string& text, const std::string& name) {
  if (text.size() > kMostYamlBytes) {
    throw InputError(message(name, ": is larger than the ", kMostYamlBytes,
                             " bytes that a configuration may have"));
  }
  const size_t bad = first_not_text(text);
  if (bad < text.size()) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<int64_t>(bad), '\n');
    throw InputError(message(name, ":", line, ": byte ", bad,
                             " is not UTF-8 text (found a control or broken character)"));
  }
}

}  // namespace

std::string read_yaml_text(const std::string& path, std::string_view what) {
  std::ifstream file(path, std::ios::binary);
  // One byte above the limit is enough to be refused; a device or a huge file is never read whole.
  std::string text(kMostYamlBytes + 1, '\0');
  if (!file.is_open() || (file.peek(), file.bad())) {
    throw InputError(message(path, ": cannot be read, expected the YAML file of ", what));
  }
  file.clear();
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

YamlDocument::YamlDocument(const std::string& text, std::string name) : name_(std::move(name)) {
  check_text(text, name_);
  nodes_.emplace_back();
  std::istringstream in(text);
  YamlBuilder builder(*this);
  try {
    YAML::Parser parser(in);
    if (!parser.HandleNextDocument(builder)) return;
    root_ = builder.root();
    if (parser.HandleNextDocument(builder)) {
      report(kWholeFile, "", "holds several YAML documents, expected one");
    }
  } catch (const YAML::ParserException& error) {
    throw InputError(message(place(error.mark.line + 1), "is not YAML: ", error.msg));
  } catch (const YAML::Exception& error) {
    throw InputError(message(name_, ": is not YAML: ", error.what()));
  }
}

void YamlDocument::override_value(const std::string& assignment) {
  const auto equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    report(kCommandLine, "", message("found '", assignment, "', expected key.path=value"));
    return;
  }
  if (first_not_text(assignment) < assignment.size()) {
    report(kCommandLine, assignment.substr(0, equals), "is not UTF-8 text");
    return;
  }
  const std::string path = assignment.substr(0, equals);
  const std::string text = assignment.substr(equals + 1);
  size_t value = nodes_.size();
  if (!text.empty() && (text[0] == '[' || text[0] == '"' || text[0] == '\'')) {
    std::istringstream in(text);
    YamlBuilder builder(*this, kCommandLine);
    try {
      YAML::Parser parser(in);
      parser.HandleNextDocument(builder);
      value = builder.root();
    } catch (const YAML::Exception&) {
      report(kCommandLine, path, message("found ", text, ", which is not YAML"));
      return;
    }
  } else {
    YamlNode node;
    node.kind = YamlNode::Kind::kScalar;
    node.line = kCommandLine;
    node.text = text;
    nodes_.push_back(std::move(node));
  }
  set(path, value);
}

// Mappings on the way are copied: they may stand in several places (anchors).
void YamlDocument::set(const std::string& path, size_t value) {
  size_t* slot = &root_;
  size_t begin = 0;
  while (true) {
    const size_t dot = std::min(path.find('.', begin), path.size());
    const std::string key = path.substr(begin, dot - begin);
    YamlNode node = nodes_[*slot];
    if (node.kind == YamlNode::Kind::kNull) {
      node.kind = YamlNode::Kind::kMapping;
      node.line = kCommandLine;
    }
    if (node.kind != YamlNode::Kind::kMapping) {
      report(kCommandLine, path,
             message("'", path.substr(0, begin - (begin > 0)), "' is no section"));
      return;
    }
    const auto found = std::find(node.keys.begin(), node.keys.end(), key);
    size_t place = static_cast<size_t>(found - node.keys.begin());
    const bool last = dot == path.size();
    if (found == node.keys.end()) {
      node.keys.push_back(key);
      node.key_lines.push_back(kCommandLine);
      node.values.push_back(last ? value : nodes_.size());
      if (!last) nodes_.emplace_back();
    } else if (last) {
      if (node.key_lines[place] == kCommandLine) report(kCommandLine, path, "is given twice");
      node.key_lines[place] = kCommandLine;
      node.values[place] = value;
    }
    *slot = nodes_.size();
    nodes_.push_back(std::move(node));
    if (last) return;
    slot = &nodes_.back().values[place];
    begin = dot + 1;
  }
}

const YamlNode* YamlDocument::child(const YamlNode& parent, std::string_view key) const {
  if (parent.kind != YamlNode::Kind::kMapping) return nullptr;
  const auto found = std::find(parent.keys.begin(), parent.keys.end(), key);
  return found == parent.keys.end()
             ? nullptr
             : &value(parent, static_cast<size_t>(found - parent.keys.begin()));
}

int YamlDocument::line_of(std::string_view path) const {
  const YamlNode* node = &root();
  int line = kWholeFile;
  while (!path.empty()) {
    const size_t dot = std::min(path.find('.'), path.size());
    const auto& keys = node->keys;
    const auto found = std::find(keys.begin(), keys.end(), path.substr(0, dot));
    if (found == keys.end()) return line;
    const size_t i = static_cast<size_t>(found - keys.begin());
    line = node->key_lines[i];
    node = &value(*node, i);
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return line;
}

bool YamlDocument::has(std::string_view path) const {
  const YamlNode* node = &root();
  while (node != nullptr && !path.empty()) {
    const size_t dot = std::min(path.find('.'), path.size());
    node = child(*node, path.substr(0, dot));
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return node != nullptr;
}

std::string YamlDocument::place(int line) const {
  if (line == kCommandLine) return "command line: ";
  return line == kWholeFile ? name_ + ": " : message(name_, ":", line, ": ");
}

void YamlDocument::report(int line, const std::string& path, const std::string& what) {
  problems_.push_back({line, path, message(place(line), path, path.empty() ? "" : ": ", what)});
}

bool YamlDocument::has_problem(std::string_view path) const {
  return std::any_of(problems_.begin(), problems_.end(),
                     [&](const Problem& problem) { return problem.path == path; });
}

core::Problems YamlDocument::problems() const {
  auto sorted = problems_;
  const auto order = [](const Problem& problem) {
    return problem.line == kCommandLine ? std::numeric_limits<int>::max() : problem.line;
  };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const Problem& a, const Problem& b) { return order(a) < order(b); });
  core::Problems lines;
  for (const auto& problem : sorted) {
    if (std::find(lines.begin(), lines.end(), problem.text) == lines.end()) {
      lines.push_back(problem.text);
    }
  }
  return lines;
}

}  // namespace longhaul::launch
