#include "launch/yaml_builder.h"

#include <algorithm>
#include <utility>

namespace longhaul::launch {

using core::message;
using Kind = YamlNode::Kind;

namespace {
constexpr size_t kMostLevels = 32;

YamlNode empty_node(Kind kind, int line) {
  YamlNode node;
  node.kind = kind;
  node.line = line;
  return node;
}
}  // namespace

void YamlBuilder::OnDocumentStart(const YAML::Mark&) {
  anchors_.clear();  // they end with the document
}

std::string YamlBuilder::path() const {
  if (open_.empty()) return "";
  const Open& open = open_.back();
  if (!open.has_key) return open.path;
  return open.path + (open.path.empty() ? "" : ".") + open.key;
}

size_t YamlBuilder::make(YamlNode node, YAML::anchor_t anchor) {
  const size_t index = document_.nodes_.size();
  document_.nodes_.push_back(std::move(node));
  if (anchor != YAML::NullAnchor) anchors_[anchor] = index;
  return index;
}

void YamlBuilder::check_tag(const std::string& tag, int line) {
  if (!tag.empty() && tag != "?" && tag != "!") {
    document_.report(line, path(), message("found the tag ", tag, ", expected none"));
  }
}

void YamlBuilder::add(size_t node) {
  if (open_.empty()) {
    if (!has_root_) root_ = node;
    has_root_ = true;
    return;
  }
  Open& open = open_.back();
  if (document_.nodes_[open.node].kind == Kind::kSequence) {
    document_.nodes_[open.node].values.push_back(node);
  } else if (!open.has_key) {
    add_key(node);
  } else {
    if (open.key_used) {
      YamlNode& mapping = document_.nodes_[open.node];
      mapping.keys.push_back(open.key);
      mapping.key_lines.push_back(open.key_line);
      mapping.values.push_back(node);
    }
    open.has_key = false;
  }
}

void YamlBuilder::add_key(size_t node) {
  const YamlNode key = document_.nodes_[node];
  Open& open = open_.back();
  open.key = key.kind == Kind::kScalar ? key.text : "";
  open.key_line = key.line;
  open.has_key = true;
  open.key_used = key.kind == Kind::kScalar;
  if (!open.key_used) {
    document_.report(key.line, path(), "found a key that is no name");
    return;
  }
  const YamlNode& mapping = document_.nodes_[open.node];
  const auto same = std::find(mapping.keys.begin(), mapping.keys.end(), key.text);
  if (same != mapping.keys.end()) {
    open.key_used = false;
    const int first = mapping.key_lines[static_cast<size_t>(same - mapping.keys.begin())];
    document_.report(key.line, path(), message("is given twice (first on line ", first, ")"));
  }
}

void YamlBuilder::start(YamlNode node, YAML::anchor_t anchor) {
  if (open_.size() >= kMostLevels) {
    throw core::InputError(
        message(document_.place(node.line), "is nested deeper than ", kMostLevels, " levels"));
  }
  std::string node_path = path();
  const size_t index = make(std::move(node), anchor);
  add(index);
  Open& open = open_.emplace_back();
  open.node = index;
  open.path = std::move(node_path);
}

void YamlBuilder::OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) {
  add(make(empty_node(Kind::kNull, line_at(mark)), anchor));
}

// The node is shared, not copied, and the reader visits what it has names for only: an alias costs
// nothing however often it is multiplied. One that stands inside its own anchor would be endless.
void YamlBuilder::OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) {
  const auto found = anchors_.find(anchor);
  const auto is_open = [&](const Open& open) { return open.node == found->second; };
  if (found == anchors_.end() || std::any_of(open_.begin(), open_.end(), is_open)) {
    document_.report(line_at(mark), path(), "found an alias that contains itself");
    add(make(empty_node(Kind::kNull, line_at(mark)), YAML::NullAnchor));
    return;
  }
  add(found->second);
}

void YamlBuilder::OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                           const std::string& text) {
  const int line = line_at(mark);
  YamlNode node = empty_node(Kind::kScalar, line);
  node.quoted = tag == "!";
  node.text = text;
  check_tag(tag, line);
  add(make(std::move(node), anchor));
}

void YamlBuilder::OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                                  YAML::anchor_t anchor, YAML::EmitterStyle::value) {
  check_tag(tag, line_at(mark));
  start(empty_node(Kind::kSequence, line_at(mark)), anchor);
}

void YamlBuilder::OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                             YAML::EmitterStyle::value) {
  check_tag(tag, line_at(mark));
  start(empty_node(Kind::kMapping, line_at(mark)), anchor);
}

}  // namespace longhaul::launch
