// YAML text as a tree that remembers where everything stands, and the list of its problems.
// yaml-cpp only parses: its Node type keeps the first of repeated keys without a word and reads 010
// as 8 and yes as true.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/fields.h"

namespace longhaul::launch {

struct YamlNode {
  enum class Kind : uint8_t { kNull, kScalar, kSequence, kMapping };
  Kind kind = Kind::kNull;
  bool quoted = false;  ///< scalar in quotes or in block style: a text, whatever it looks like
  int line = 0;
  std::string text;            ///< of a scalar
  std::vector<size_t> values;  ///< of a sequence or a mapping: indices into the document
  std::vector<std::string> keys;
  std::vector<int> key_lines;
};

/// Lines that are none.
inline constexpr int kWholeFile = 0;
inline constexpr int kCommandLine = -1;
inline constexpr size_t kMostYamlBytes = size_t{1} << 20;

/// The text of a YAML file, for YamlDocument, cut off one byte above its limit; InputError if it
/// cannot be read. `what` it is the file of: "a run".
std::string read_yaml_text(const std::string& path, std::string_view what);

class YamlDocument {
 public:
  /// Text that is not YAML, not UTF-8, above 1 MiB or deeper than 32 levels throws InputError.
  /// Repeated keys, keys that are no names, tags and further documents are reported.
  YamlDocument(const std::string& text, std::string name);

  /// "key.path=value": the value is taken as if it stood in the file. Not understood: reported.
  void override_value(const std::string& assignment);

  const YamlNode& root() const { return nodes_[root_]; }
  const YamlNode& value(const YamlNode& parent, size_t i) const { return nodes_[parent.values[i]]; }
  /// nullptr where `parent` is no mapping or has no such key.
  const YamlNode* child(const YamlNode& parent, std::string_view key) const;
  /// Line of the nearest part of "a.b.c" that is given; kWholeFile if none is.
  int line_of(std::string_view path) const;
  bool has(std::string_view path) const;

  void report(int line, const std::string& path, const std::string& what);
  bool has_problem(std::string_view path) const;
  /// Each as "NAME:LINE: key: what", in order of lines; those of the command line last.
  core::Problems problems() const;

 private:
  friend class YamlBuilder;
  struct Problem {
    int line = kWholeFile;
    std::string path, text;
  };
  void set(const std::string& path, size_t value);
  std::string place(int line) const;

  std::string name_;
  std::vector<YamlNode> nodes_;
  size_t root_ = 0;
  std::vector<Problem> problems_;
};

}  // namespace longhaul::launch
