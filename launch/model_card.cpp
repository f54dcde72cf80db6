#include "launch/model_card.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <sstream>
#include <type_traits>
#include <vector>

#include "eval/head_memory.h"
#include "eval/model_fingerprint.h"
#include "eval/run_folder.h"
#include "kernels/core/error.h"
#include "launch/model_conversion.h"
#include "launch/run_config.h"
#include "trainer/checkpoint_files.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::message;

/// Of folders only the name: where it lies is nobody's business.
std::string name_of_folder(const std::string& path) {
  const std::string name = fs::path(path).filename().string();
  return name.empty() ? fs::path(path).parent_path().filename().string() : name;
}

/// The visitor that leaves of every text that is a path its name.
class PathMask {
 public:
  template <class T, class... Rule>
  void field(const char*, T& value, const char*, const Rule&...) {
    if constexpr (std::is_same_v<T, std::string>) mask(value);
    if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      std::for_each(value.begin(), value.end(), mask);
    }
  }
  template <class S>
  void section(const char*, S& nested) {
    nested.visit(*this);
  }

 private:
  static void mask(std::string& text) {
    if (text.starts_with('~') || text.find('/') != std::string::npos) text = name_of_folder(text);
  }
};

std::string rounded(double value, const char* format) {
  char text[48];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

std::string method(const trainer::InitialStateConfig& config, const model::ModelConfig& shape) {
  switch (config.source) {
    case trainer::SourceKind::kZero:
      return "training from zero states";
    case trainer::SourceKind::kNoise:
      return "training from states of random noise";
    case trainer::SourceKind::kFittedNoise:
      return message("training from noise fitted to the final states, layer by layer and ",
                     shape.is_mamba1() ? "channel by channel" : "head by head");
    case trainer::SourceKind::kStatePassing:
      return "state passing: training from the final states of unrelated sequences";
    case trainer::SourceKind::kTbtt:
      return "truncated backpropagation through time: training from the state in which the "
             "sequence's last segment ended";
  }
  return "";
}

std::string data_of(const RunConfig& run) {
  if (run.data.kind == DataKind::kRecall) return "associative recall (synthetic)";
  if (run.data.task() != nullptr) return run.data.task()->name() + " (task)";
  return "tokens of `" + name_of_folder(run.data.folder) + "`";
}

/// How long the model was trained.
struct Progress {
  int64_t steps = 0;
  std::optional<int64_t> tokens;  ///< where it is known
};

Progress progress_of(const ModelCard& card, const RunConfig& run, const eval::RunFolder& folder) {
  const auto& training = folder.training;
  const std::optional<int64_t> step = step_of_checkpoint(card.folder);
  if (!step) {
    if (training.empty()) return {.steps = run.schedule.steps, .tokens = {}};
    return {.steps = training.back().step, .tokens = training.back().tokens};
  }
  if (fs::exists(card.folder / trainer::kManifestFile)) {
    return {.steps = *step, .tokens = trainer::read_manifest(card.folder).tokens};
  }
  const auto at = std::find_if(training.begin(), training.end(),
                               [&](const auto& point) { return point.step == *step; });
  return {.steps = *step,
          .tokens = at == training.end() ? std::nullopt : std::optional(at->tokens)};
}

void append_training(std::ostringstream& out, const ModelCard& card, const RunConfig& run,
                     const Progress& progress) {
  const bool from_scratch = run.model.from.empty();
  out << "| | |\n|---|---|\n| base model | "
      << (from_scratch ? "none: trained from scratch" : "`" + name_of_folder(run.model.from) + "`")
      << " |\n| method | " << method(run.initial_state, card.stored.config) << " |\n| steps | "
      << progress.steps;
  if (progress.steps < run.schedule.steps) out << " of " << run.schedule.steps;
  out << " |\n";
  if (progress.tokens) out << "| tokens | " << *progress.tokens << " |\n";
  const model::ModelConfig& config = card.stored.config;
  out << "| length of training sequences | " << run.data.batch.length << " |\n| data | "
      << data_of(run) << " |\n| peak rate | " << run.optimizer.rate << " |\n| architecture | "
      << (config.is_mamba1() ? "Mamba-1, " : "Mamba-2, ") << config.layers << " layers of width "
      << config.width << " |\n| parameters | " << elements_of(card.stored.tensors) << " ("
      << card.types << ") |\n";
}

/// Tells what was measured of the card's model. A run holds evaluations of all its checkpoints.
class OfModel {
 public:
  explicit OfModel(const ModelCard& card) : card_(card) {}

  void keep(eval::RunFolder& folder) {
    keep_in(folder.evaluations);
    keep_in(folder.effrems);
    keep_in(folder.states);
    keep_in(folder.tasks);
  }

 private:
  template <class T>
  void keep_in(std::vector<eval::Named<T>>& measures) {
    std::erase_if(measures, [&](const auto& each) { return !is_own(each.value.measured); });
  }
  bool is_own(const eval::Identity& measured) {
    const auto value_of = [&](const char* name) {
      const auto found = std::find_if(measured.begin(), measured.end(),
                                      [&](const auto& entry) { return entry.first == name; });
      return found == measured.end() ? "" : found->second;
    };
    const std::string model = value_of("model");
    // Older files do not say; as a rule they are of the run's result.
    if (model.empty()) return !step_of_checkpoint(card_.folder);
    const auto type =
        value_of("dtype") == "fp64" ? model::StoredType::kF64 : model::StoredType::kF32;
    std::string& own = fingerprints_[type];
    if (own.empty()) own = eval::model_fingerprint(card_.stored, type);
    return model == own;
  }

  const ModelCard& card_;
  std::map<model::StoredType, std::string> fingerprints_;
};

/// What the numbers were measured on; "" where an older file does not say.
std::string measured_on(const eval::Identity& measured) {
  std::string places;
  for (const auto& [name, value] : measured) {
    if (name == "recall") return " (" + value + ")";
    if (name != "data" && name != "stories") continue;
    places += (places.empty() ? " of `" : " and `") + name_of_folder(value) + "`";
  }
  return places;
}

void append_curve(std::ostringstream& out, const eval::Named<eval::PositionCurve>& evaluation) {
  const eval::PositionCurve& curve = evaluation.value;
  const bool is_text = curve.task == "text";
  out << "\n### " << evaluation.name << "\n\n"
      << (is_text ? "Text" : "Associative recall") << measured_on(curve.measured) << ", "
      << curve.sequences << " sequences of " << curve.length << " tokens";
  if (curve.window > 0) out << " in windows of " << curve.window;
  out << ". Overall: loss " << rounded(curve.loss, "%.4f");
  out << (is_text ? ", perplexity " + rounded(curve.perplexity, "%.3f")
                  : ", accuracy " + rounded(100 * curve.accuracy, "%.2f %%"))
      << ".\n\n| positions | loss | " << (is_text ? "perplexity" : "accuracy")
      << " |\n|---|---|---|\n";
  for (const eval::Bucket& bucket : curve.buckets) {
    if (bucket.count == 0) continue;
    out << "| " << bucket.begin << " to " << bucket.end - 1 << " | " << rounded(bucket.loss, "%.4f")
        << " | "
        << (is_text ? rounded(std::exp(bucket.loss), "%.3f")
                    : rounded(100 * bucket.accuracy, "%.2f %%"))
        << " |\n";
  }
}

template <class Measured>
std::string sequences_of(const Measured& measured) {
  return message(measured.read == "text" ? "text" : "associative recall",
                 measured_on(measured.measured), ", ", measured.sequences, " sequences of ",
                 measured.length, " tokens");
}

std::string effrem_line(const eval::EffRem& effrem) {
  std::string line = "effective remembrance, " + sequences_of(effrem);
  if (effrem.points.empty()) return line;
  const eval::EffRemPoint &first = effrem.points.front(), &last = effrem.points.back();
  return message(line, ": ", rounded(first.distance, "%.4f"), " without the first ",
                 first.dropped == 1 ? "token" : message(first.dropped, " tokens"), ", ",
                 rounded(last.distance, "%.4f"), " without the first ", last.dropped);
}

std::string states_line(const eval::StateStatistics& states) {
  const std::string line = "statistics of the states, " + sequences_of(states);
  if (states.positions.empty() || states.pooled.deviation.empty()) return line;
  return message(line, ": standard deviation ", rounded(states.pooled.deviation.front(), "%.4g"),
                 " at ", states.positions.front(), ", ",
                 rounded(states.pooled.deviation.back(), "%.4g"), " at ", states.positions.back(),
                 " tokens; outlying ", eval::head_word(states),
                 "s at the end: ", eval::outlier_heads(states).size(), " of ", states.heads.size(),
                 eval::has_elements(states) ? "; " + eval::memory_text(states) : "");
}

/// Over all depths.
std::string task_line(const eval::TaskResult& result) {
  std::string line = result.task + measured_on(result.measured) + ", accuracy by length", part;
  char sign = ':';
  for (const eval::TaskCell& cell : result.cells) {
    if (!cell.all_depths()) continue;
    line += message(sign, " ", cell.part.empty() || cell.part == part ? "" : cell.part + " ",
                    rounded(100 * cell.accuracy, "%.2f %%"), " at ", cell.length, " (", cell.trials,
                    " trials)");
    part = cell.part;
    sign = ',';
  }
  return line;
}

/// A line each of what is no curve over positions.
std::string other_measures(const eval::RunFolder& folder) {
  std::string lines;
  const auto add = [&](const std::string& name, const std::string& line) {
    lines += "- `" + name + "`: " + line + "\n";
  };
  for (const auto& [name, effrem] : folder.effrems) add(name, effrem_line(effrem));
  for (const auto& [name, states] : folder.states) add(name, states_line(states));
  for (const auto& [name, result] : folder.tasks) add(name, task_line(result));
  return lines;
}

}  // namespace

std::string model_card(const ModelCard& card) {
  const RunConfig run = read_run_config((card.run / "run.yaml").string());
  const bool has_results =
      fs::exists(card.run / "metrics.jsonl") || fs::exists(card.run / "evaluation");
  eval::RunFolder folder = has_results ? eval::read_run_folder(card.run) : eval::RunFolder{};
  OfModel(card).keep(folder);
  std::ostringstream out;
  out << "---\nlibrary_name: " << card.library << "\npipeline_tag: text-generation\ntags:\n- "
      << (card.stored.config.is_mamba1() ? "mamba" : "mamba2")
      << "\n- length-generalization\n- longhaul\n---\n\n# " << card.name << "\n\n"
      << (run.model.from.empty() ? "Trained" : "Post-trained")
      << " with longhaul, which trains recurrent language models to work far beyond the length of "
         "their training sequences.\n\n";
  append_training(out, card, run, progress_of(card, run, folder));
  out << "\n## Evaluation\n";
  const std::string others = other_measures(folder);
  if (folder.evaluations.empty() && others.empty()) out << "\nNot measured.\n";
  for (const eval::Named<eval::PositionCurve>& evaluation : folder.evaluations)
    append_curve(out, evaluation);
  if (!others.empty()) out << "\n" << others;
  if (!card.initial_state.empty()) out << "\n## Learned initial state\n\n" << card.initial_state;
  out << "\n## Configuration\n\n`run.yaml` of the run, but for paths:\n\n```yaml\n";
  RunConfig shown = run;
  PathMask mask;
  shown.visit(mask);
  out << to_yaml(shown) << "```\n";
  return out.str();
}

}  // namespace longhaul::launch
