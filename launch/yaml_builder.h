// From yaml-cpp's events to the nodes of a YamlDocument.
#pragma once

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/mark.h>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "launch/yaml_document.h"

namespace longhaul::launch {

class YamlBuilder : public YAML::EventHandler {
 public:
  /// `line` other than kWholeFile: given to every node instead of its own.
  explicit YamlBuilder(YamlDocument& document, int line = kWholeFile)
      : document_(document), line_(line) {}
  size_t root() const { return root_; }

  void OnDocumentStart(const YAML::Mark& mark) override;
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override;
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override;
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override;
  void OnMapEnd() override { end(); }

 private:
  struct Open {
    size_t node = 0;
    std::string path;       ///< of the node itself
    bool has_key = false;   ///< mapping: a key waits for its value …
    bool key_used = false;  ///< … which is to be stored
    std::string key;
    int key_line = 0;
  };
  void add(size_t node);
  void add_key(size_t node);
  void start(YamlNode node, YAML::anchor_t anchor);
  void end() { open_.pop_back(); }
  size_t make(YamlNode node, YAML::anchor_t anchor);
  int line_at(const YAML::Mark& mark) const { return line_ == kWholeFile ? mark.line + 1 : line_; }
  void check_tag(const std::string& tag, int line);
  /// Of what comes next: the value of the key that waits, else the open node.
  std::string path() const;

  YamlDocument& document_;
  int line_;
  size_t root_ = 0;
  bool has_root_ = false;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, size_t> anchors_;
};

}  // namespace longhaul::launch
