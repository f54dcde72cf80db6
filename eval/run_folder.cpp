#include "eval/run_folder.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "eval/stored_json.h"
#include "eval/tasks/task_scoring.h"
#include "eval/text_file.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

using nlohmann::json;

/// Protobuf JSON writes 64-bit integers and non-finite numbers as strings.
std::optional<double> number(const json& value) {
  if (value.is_number()) return value.get<double>();
  if (value.is_null()) return std::numeric_limits<double>::quiet_NaN();
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  char* end = nullptr;
  const double result = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0') return std::nullopt;
  return result;
}

/// {"loss": 1} or [{"name": "loss", "value": 1}]; also the record itself in flat files.
void add_values(const json& from, std::map<std::string, double>& values) {
  if (from.is_array()) {
    for (const json& item : from) {
      if (!item.is_object() || !item.contains("name") || !item["name"].is_string()) continue;
      if (const auto value = number(item.value("value", json(0.0)))) {
        values[item["name"].get<std::string>()] = *value;
      }
    }
    return;
  }
  for (const auto& [name, item] : from.items()) {
    if (const auto value = number(item)) values[name] = *value;
  }
}

/// What is wrong with a record, or "".
std::string read_record(const json& record, std::vector<TrainingPoint>& points) {
  if (!record.is_object()) return "expected an object";
  const json kind = record.value("kind", json("train"));
  if (!kind.is_string()) return "\"kind\" is not a string";
  if (kind != "train") return "";
  const auto step = number(record.value("step", json(0)));
  const auto tokens = number(record.value("tokens", json(0)));
  // Also keeps NaN and numbers out that no integer can hold.
  const auto countable = [](const auto& n) { return n && *n >= 0 && *n < 9e18; };
  if (!countable(step)) return "\"step\" is not a count";
  if (!countable(tokens)) return "\"tokens\" is not a count";
  TrainingPoint point{
      .step = static_cast<int64_t>(*step), .tokens = static_cast<int64_t>(*tokens), .values = {}};
  add_values(record.contains("values") ? record["values"] : record, point.values);
  points.push_back(std::move(point));
  return "";
}

void read_evaluation(const std::filesystem::path& file, RunFolder& run) {
  const std::string task = read_task(file), name = file.stem().string();
  if (task == "effrem") {
    run.effrems.push_back({.name = name, .value = read_effrem(file)});
  } else if (task == "states") {
    run.states.push_back({.name = name, .value = read_states(file)});
  } else if (find_task_scoring(task) != nullptr) {
    run.tasks.push_back({.name = name, .value = read_task_result(file)});
  } else {
    run.evaluations.push_back({.name = name, .value = read_curve(file)});
  }
}

void read_evaluations(const std::filesystem::path& folder, RunFolder& run,
                      std::vector<std::string>& problems) {
  if (!std::filesystem::is_directory(folder)) return;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    try {
      read_evaluation(file, run);
    } catch (const core::InputError& error) {
      problems.insert(problems.end(), error.problems().begin(), error.problems().end());
    }
  }
}

}  // namespace

std::vector<TrainingPoint> read_training(const std::string& text, const std::string& name,
                                         std::vector<std::string>& missing) {
  std::vector<TrainingPoint> points;
  std::vector<std::string> problems;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    ++number;
    const size_t end = text.find('\n', begin);
    const bool torn = end == std::string::npos;
    const std::string line = text.substr(begin, end - begin);
    begin = torn ? text.size() : end + 1;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const json record = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (record.is_discarded() && torn) {
      missing.push_back(core::message("the last line of metrics.jsonl (", number, ") is torn"));
      continue;
    }
    const std::string what =
        record.is_discarded() ? "expected one JSON object" : read_record(record, points);
    if (!what.empty()) {
      const std::string shown = line.size() > 60 ? line.substr(0, 60) + "…" : line;
      problems.push_back(core::message(name, ":", number, ": ", what, ", found '", shown, "'"));
      if (problems.size() == 10) break;
    }
  }
  if (!problems.empty()) throw core::InputError(problems);
  std::stable_sort(points.begin(), points.end(),
                   [](const auto& a, const auto& b) { return a.step < b.step; });
  return points;
}

RunFolder read_run_folder(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(folder)) {
    throw core::InputError(folder.string() + ": is not a folder, expected a run folder");
  }
  RunFolder run;
  const fs::path whole = fs::weakly_canonical(folder);
  run.name = whole.filename().string();
  std::vector<std::string> problems;
  const auto part = [&](const char* name, const auto& read) {
    const fs::path file = folder / name;
    if (!fs::exists(file)) {
      run.missing.push_back(core::message("there is no ", name));
      return;
    }
    try {
      read(read_text_file(file), file.string());
    } catch (const core::InputError& error) {
      problems.insert(problems.end(), error.problems().begin(), error.problems().end());
    }
  };
  part("metrics.jsonl", [&](const std::string& text, const std::string& name) {
    run.training = read_training(text, name, run.missing);
  });
  part("run.yaml", [&](const std::string& text, const std::string& name) {
    run.configuration = read_configuration(text, name);
  });
  read_evaluations(folder / "evaluation", run, problems);
  if (!problems.empty()) throw core::InputError(problems);
  const bool measured =
      !run.evaluations.empty() || !run.effrems.empty() || !run.states.empty() || !run.tasks.empty();
  if (!measured) run.missing.push_back("there is no evaluation/*.json");
  if (!measured && run.training.empty()) {
    throw core::InputError(folder.string() +
                           ": holds neither metrics.jsonl with training steps nor "
                           "evaluation/*.json, expected a run folder");
  }
  return run;
}

}  // namespace longhaul::eval
