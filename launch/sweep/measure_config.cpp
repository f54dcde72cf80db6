#include "launch/sweep/measure_config.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string_view>

#include "kernels/core/error.h"
#include "launch/command_options.h"
#include "launch/eval/measure.h"
#include "launch/yaml_document.h"
#include "launch/yaml_reader.h"

namespace longhaul::launch {

namespace {

using core::message;
using Kind = YamlNode::Kind;

/// Options of `longhaul eval` that the sweep sets.
constexpr std::string_view kOwnOptions[] = {"model", "json", "threads"};

bool is_own(std::string_view option) {
  return std::find(std::begin(kOwnOptions), std::end(kOwnOptions), option) != std::end(kOwnOptions);
}

std::string name_of_option(std::string key) {
  std::replace(key.begin(), key.end(), '_', '-');
  return key;
}

/// `longhaul eval` as its own program reads it.
class EvalWords {
 public:
  EvalWords() {
    for (const auto& measure : measures_) measure->describe(eval_, options_);
  }
  std::vector<std::string> kinds() const {
    std::vector<std::string> names;
    for (const CLI::App* command : eval_.get_subcommands({})) names.push_back(command->get_name());
    return names;
  }
  const CLI::App& command(const std::string& kind) const { return *eval_.get_subcommand(kind); }

  /// CLI::ParseError for what it refuses. Once.
  void parse(const std::string& kind, const std::vector<std::string>& words) {
    std::vector<std::string> all{kind, "--model=MODEL", "--json=JSON"};
    all.insert(all.end(), words.begin(), words.end());
    std::reverse(all.begin(), all.end());
    eval_.parse(all);
  }
  /// After parse(). InputError where it does not suit the run.
  void prepare(const RunConfig& run) {
    options_.model = "a model of this run";
    const auto chosen = std::find_if(measures_.begin(), measures_.end(),
                                     [](const auto& each) { return each->chosen(); });
    (*chosen)->prepare(options_, options_.run.empty() ? run : read_run_config(options_.run));
  }

 private:
  CLI::App eval_;
  EvalOptions options_;
  std::vector<std::unique_ptr<Measure>> measures_ = make_measures();
};

/// CLI11's message without the option that it begins with.
std::string without_option(const std::string& text, const std::string& option) {
  const std::string begin = "--" + option + ": ";
  return text.rfind(begin, 0) == 0 ? text.substr(begin.size()) : text;
}

/// What is wrong with the words of one option, or "". What is missing besides is not asked here.
std::string refusal(const std::string& kind, const std::string& option,
                    const std::vector<std::string>& words) {
  try {
    EvalWords().parse(kind, words);
  } catch (const CLI::RequiredError&) {
  } catch (const CLI::ParseError& error) {
    return without_option(error.what(), option);
  }
  return "";
}

class MeasureReader {
 public:
  MeasureReader(YamlDocument& document, std::vector<MeasureConfig>& measures)
      : document_(document), measures_(measures) {}

  void read(const YamlNode& entry) {
    if (entry.kind != Kind::kMapping || entry.keys.size() != 1) {
      report(entry.line, "measures",
             message(entry.kind == Kind::kMapping
                         ? message("found ", entry.keys.size(), " keys, expected ")
                         : expected(entry, ""),
                     "one evaluation, such as perplexity: {data: tokens, length: 65536, sequences: "
                     "16}"));
      return;
    }
    const EvalWords eval;
    const std::vector<std::string> kinds = eval.kinds();
    MeasureConfig measure{.kind = entry.keys[0], .name = entry.keys[0], .words = {}};
    path_ = "measures." + measure.kind;
    line_ = entry.key_lines[0];
    if (std::find(kinds.begin(), kinds.end(), measure.kind) == kinds.end()) {
      report(line_, path_, "is no measure of longhaul eval" + meant(measure.kind, kinds));
      return;
    }
    const YamlNode& options = document_.value(entry, 0);
    if (options.kind != Kind::kMapping && !is_null(options)) {
      report(options.line, path_, expected(options, "its options as keys"));
      return;
    }
    const size_t before = problems_;
    for (size_t i = 0; i < options.keys.size(); ++i) {
      read_option(eval.command(measure.kind), options.keys[i], options.key_lines[i],
                  document_.value(options, i), measure);
    }
    if (problems_ == before) check(measure);
  }

 private:
  void report(int line, const std::string& path, const std::string& what) {
    document_.report(line, path, what);
    ++problems_;
  }

  static std::string meant(const std::string& name, const std::vector<std::string>& names) {
    const std::string near = close_match(name, names);
    if (!near.empty()) return " (did you mean " + near + "?)";
    std::string all;
    for (const std::string& one : names) all += (all.empty() ? "" : ", ") + one;
    return ", expected one of " + all;
  }

  /// Of this measure, as keys, without those that are the sweep's.
  static std::vector<std::string> keys_of(const CLI::App& command) {
    std::vector<std::string> keys{"name"};
    for (std::string name : option_names(command)) {
      name.erase(0, 2);
      if (is_own(name) || name == "help") continue;
      std::replace(name.begin(), name.end(), '-', '_');
      keys.push_back(name);
    }
    return keys;
  }

  void read_option(const CLI::App& command, const std::string& key, int line, const YamlNode& node,
                   MeasureConfig& measure) {
    const std::string path = path_ + "." + key, option = name_of_option(key);
    const std::vector<std::string> keys = keys_of(command);
    if (is_own(option)) {
      report(line, path, "is set by the sweep");
    } else if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      report(line, path, "is no option of longhaul eval " + measure.kind + meant(key, keys));
    } else if (key == "name") {
      read_name_of(node, path, measure);
    } else {
      const CLI::Option& known = *command.get_option("--" + option);
      const std::vector<std::string> words = words_of(known, option, node, path);
      const std::string wrong = refusal(measure.kind, option, words);
      if (!wrong.empty()) report(line, path, wrong);
      measure.words.insert(measure.words.end(), words.begin(), words.end());
    }
  }

  void read_name_of(const YamlNode& node, const std::string& path, MeasureConfig& measure) {
    const auto is_kept = [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.' || c == '+';
    };
    const bool is_name = node.kind == Kind::kScalar && !node.text.empty() && node.text[0] != '.' &&
                         node.text.size() <= 100 &&
                         std::all_of(node.text.begin(), node.text.end(), is_kept);
    if (!is_name) {
      report(node.line, path, expected(node, "a name for a file: letters, digits, _ - . +"));
    } else {
      measure.name = node.text;
    }
  }

  std::vector<std::string> words_of(const CLI::Option& known, const std::string& option,
                                    const YamlNode& node, const std::string& path) {
    const std::string word = "--" + option;
    const bool is_flag = known.get_items_expected_max() == 0;
    const bool is_list = known.get_items_expected_max() > 1;
    if (is_flag) {
      bool is_set = false;
      const std::string wrong = read_scalar(node, is_set);
      if (!wrong.empty()) report(node.line, path, wrong);
      if (is_set) return {word};
      // --instruction and --no-instruction: off is not the same as not given.
      const bool has_opposite = known.get_lnames().size() > 1;
      return has_opposite ? std::vector{word + "=false"} : std::vector<std::string>{};
    }
    std::vector<const YamlNode*> values;
    if (node.kind == Kind::kSequence && is_list) {
      for (size_t i = 0; i < node.values.size(); ++i) values.push_back(&document_.value(node, i));
    } else {
      values.push_back(&node);
    }
    std::vector<std::string> words;
    for (const YamlNode* value : values) {
      if (value->kind != Kind::kScalar || is_null(*value) || value->text.empty()) {
        report(value->line, path, expected(*value, is_list ? "a value or a list" : "a value"));
        return {};
      }
      words.push_back(word + "=" + value->text);
    }
    if (words.empty()) report(node.line, path, "is empty, expected a value or a list");
    return words;
  }

  void check(const MeasureConfig& measure) {
    try {
      EvalWords().parse(measure.kind, measure.words);
    } catch (const CLI::ParseError& error) {
      report(line_, path_, error.what());
      return;
    }
    const bool is_there = std::any_of(measures_.begin(), measures_.end(), [&](const auto& other) {
      return other.name == measure.name;
    });
    if (is_there) {
      report(line_, path_,
             message("the name ", measure.name, " is there twice, expected another one: name: …"));
    }
    measures_.push_back(measure);
  }

  YamlDocument& document_;
  std::vector<MeasureConfig>& measures_;
  std::string path_;
  int line_ = 0;
  size_t problems_ = 0;
};

}  // namespace

std::vector<std::string> MeasureConfig::texts(const std::string& option) const {
  const std::string begin = "--" + option + "=";
  std::vector<std::string> values;
  for (const std::string& word : words) {
    if (word.rfind(begin, 0) == 0) values.push_back(word.substr(begin.size()));
  }
  return values;
}

std::vector<int64_t> MeasureConfig::numbers(const std::string& option) const {
  std::vector<int64_t> values;
  for (const std::string& text : texts(option)) {
    std::istringstream parts(text);
    for (std::string part; std::getline(parts, part, ',');) {
      int64_t value = 0;
      if (std::from_chars(part.data(), part.data() + part.size(), value).ec == std::errc()) {
        values.push_back(value);
      }
    }
  }
  return values;
}

std::vector<MeasureConfig> read_measures(YamlDocument& document, const YamlNode& node) {
  std::vector<MeasureConfig> measures;
  if (node.kind != Kind::kSequence) {
    document.report(node.line, "measures", expected(node, "a list of evaluations"));
    return measures;
  }
  MeasureReader reader(document, measures);
  for (size_t i = 0; i < node.values.size(); ++i) reader.read(document.value(node, i));
  return measures;
}

void check_measure(const MeasureConfig& measure, const RunConfig& run) {
  core::Problems problems;
  const auto add = [&](const std::string& what) {
    problems.push_back(message("measures.", measure.name, ": ", what));
  };
  for (const char* option : {"data", "stories", "prompts", "run", "tokenizer"}) {
    for (const std::string& path : measure.texts(option)) {
      if (std::string_view(option) == "tokenizer" && path == "byte") continue;
      if (!std::filesystem::exists(path)) add(message(option, ": ", path, " is not there"));
    }
  }
  if (problems.empty()) {
    EvalWords eval;
    eval.parse(measure.kind, measure.words);
    try {
      eval.prepare(run);
    } catch (const core::InputError& error) {
      for (const std::string& problem : error.problems()) add(problem);
    }
  }
  if (!problems.empty()) throw core::InputError(problems);
}

}  // namespace longhaul::launch
