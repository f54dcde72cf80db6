#include "data/bpe/split_json.h"

#include "data/bpe/pattern.h"

namespace longhaul::data {

namespace {
/// What ByteLevel cuts at where it is not told to leave that to others: GPT-2's pattern.
constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class Reader {
 public:
  void read(const JsonPart& part) {
    const std::string& type = part["type"].text();
    if (bytes_) part.refuse("follows ByteLevel, which must be the last");
    if (type == "Sequence") {
      part.allow_only({"type", "pretokenizers"});
      for (size_t i = 0; i < part["pretokenizers"].size(); ++i) read(part["pretokenizers"][i]);
    } else if (type == "ByteLevel") {
      read_byte_level(part);
    } else if (type == "Split") {
      read_split(part);
    } else if (type == "Digits") {
      part.allow_only({"type", "individual_digits"});
      steps_.push_back(
          {.kind = SplitStep::Kind::kDigits, .each = part["individual_digits"].flag_or(false)});
    } else {
      part["type"].refuse("is \"", type, "\", which is not supported; expected ByteLevel, Split, ",
                          "Digits or Sequence");
    }
  }

  std::vector<SplitStep> take(const JsonPart& part) {
    if (!bytes_) part.refuse("has no ByteLevel, expected byte-level BPE");
    return std::move(steps_);
  }

 private:
  void read_byte_level(const JsonPart& part) {
    part.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    bytes_ = true;
    if (part["add_prefix_space"].flag_or(true))
      steps_.push_back({.kind = SplitStep::Kind::kPrefixSpace});
    if (part["use_regex"].flag_or(true)) steps_.push_back({.pattern = kGpt2Pattern});
  }

  void read_split(const JsonPart& part) {
    part.allow_only({"type", "pattern", "behavior", "invert"});
    const JsonPart pattern = part["pattern"];
    pattern.allow_only({"Regex", "String"});
    const std::string& behavior = part["behavior"].text();
    if (behavior != "Isolated" && behavior != "Removed")
      part["behavior"].refuse("is \"", behavior,
                              "\", which is not supported; expected Isolated or Removed");
    const bool removed = behavior == "Removed";
    const bool invert = part["invert"].flag_or(false);
    SplitStep step;
    step.keep_matches = !removed || invert;
    step.keep_others = !removed || !invert;
    if (pattern.has("Regex") == pattern.has("String"))
      pattern.refuse("expected one of Regex and String");
    step.pattern =
        pattern.has("Regex") ? pattern["Regex"].text() : literal_pattern(pattern["String"].text());
    const std::string problem = Pattern::problem_of(step.pattern);
    if (!problem.empty()) pattern.refuse(problem);
    steps_.push_back(step);
  }

  std::vector<SplitStep> steps_;
  bool bytes_ = false;
};
}  // namespace

std::vector<SplitStep> read_split_steps(const JsonPart& part) {
  Reader reader;
  if (!part.is_null()) reader.read(part);
  return reader.take(part);
}

}  // namespace longhaul::data
