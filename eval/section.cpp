#include "eval/section.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <regex>
#include <utility>

#include "eval/plot.h"
#include "eval/sequences.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

NameAndStep split_step(const std::string& file_name) {
  std::smatch match;
  static const std::regex pattern("(.*?)[-_.]?step-?([0-9]{1,15})");
  if (!std::regex_match(file_name, match, pattern)) return {.name = file_name};
  return {.name = match[1], .step = std::stoll(match[2])};
}

namespace {

using Results = std::vector<std::vector<Named<const PositionCurve*>>>;

/// Of every run the curves of a task: whole, or of windows.
Results results_of(const std::vector<RunFolder>& runs, const std::string& task, bool windows) {
  Results results;
  for (const RunFolder& run : runs) {
    auto& own = results.emplace_back();
    for (const Named<PositionCurve>& evaluation : run.evaluations) {
      const PositionCurve& curve = evaluation.value;
      if (curve.task == task && (curve.window > 0) == windows) {
        own.push_back({evaluation.name, &curve});
      }
    }
  }
  return results;
}

/// Whether both are of one model over the same sequences, as far as their files say.
bool is_reference_of(const PositionCurve* curve, const PositionCurve& windows) {
  if (curve == nullptr) return false;
  if (curve->measured.empty() || windows.measured.empty()) {
    return curve->length == windows.length && curve->sequences == windows.sequences;
  }
  const auto model_of = [](const Identity& measured) {
    Identity model;
    for (const auto& entry : measured) {
      if (entry.first == "model" || entry.first == "initial state") model.push_back(entry);
    }
    return model;
  };
  return model_of(curve->measured) == model_of(windows.measured) &&
         sequences_read(curve->measured) == sequences_read(windows.measured);
}

Section section_of(const std::string& task, LinedUp<PositionCurve>& lined) {
  Section section{.task = task,
                  .title = task == "text" ? "Text" : "Associative recall",
                  .curves = std::move(lined.arms),
                  .references = {}};
  if (!lined.name.empty() && lined.name != task) section.title += ": " + lined.name;
  section.training_length = shortest_training(section.curves);
  return section;
}

/// Hands references to their sections; what is left stays in `lined`. Whether anything is.
bool take_references(LinedUp<PositionCurve>& lined, std::vector<Section>& sections) {
  bool left = false;
  for (size_t arm = 0; arm < lined.arms.size(); ++arm) {
    const PositionCurve*& windows = lined.arms[arm];
    if (windows == nullptr) continue;
    const auto section = std::find_if(sections.begin(), sections.end(), [&](const Section& each) {
      return each.task == windows->task && is_reference_of(each.curves[arm], *windows);
    });
    left = left || section == sections.end();
    if (section == sections.end()) continue;
    section->references.push_back({.arm = arm, .curve = windows});
    windows = nullptr;
  }
  return left;
}

}  // namespace

std::vector<Section> make_sections(const std::vector<RunFolder>& runs) {
  std::vector<Section> sections, of_windows;
  for (const char* task : {"text", "recall"}) {
    for (LinedUp<PositionCurve>& lined : line_up(results_of(runs, task, false))) {
      sections.push_back(section_of(task, lined));
    }
    for (LinedUp<PositionCurve>& lined : line_up(results_of(runs, task, true))) {
      if (!take_references(lined, sections)) continue;
      Section& section = of_windows.emplace_back(section_of(task, lined));
      section.of_windows = true;
      section.title += ", read in windows";
    }
  }
  for (Section& section : sections) {
    std::stable_sort(section.references.begin(), section.references.end(),
                     [](const Reference& a, const Reference& b) { return a.arm < b.arm; });
  }
  sections.insert(sections.end(), of_windows.begin(), of_windows.end());
  return sections;
}

std::vector<LengthColumn> length_columns(const Section& section) {
  const PositionCurve* longest = nullptr;
  for (const PositionCurve* curve : section.curves) {
    if (curve != nullptr && (longest == nullptr || curve->length > longest->length)) {
      longest = curve;
    }
  }
  std::vector<LengthColumn> columns;
  if (longest == nullptr) return columns;
  const int64_t trained = section.training_length;
  const auto add = [&](int64_t limit, std::string name) {
    const Bucket* last = nullptr;
    for (const Bucket& bucket : longest->buckets) {
      if (bucket.end <= limit && bucket.count > 0) last = &bucket;
    }
    if (last == nullptr || (!columns.empty() && columns.back().end == last->end)) return;
    columns.push_back({.begin = last->begin,
                       .end = last->end,
                       .name = std::move(name),
                       .beyond = trained > 0 && last->end > trained});
  };
  // Without a training length: the last seven octaves.
  int64_t first = trained;
  if (first == 0) {
    first = 1;
    while (first < longest->length / 64) first *= 2;
  }
  for (int64_t limit = first; limit <= longest->length; limit *= 2) {
    add(limit, trained > 0 ? multiple_name(limit, trained) : position_name(limit));
  }
  add(longest->length,
      trained > 0 ? multiple_name(longest->length, trained) : position_name(longest->length));
  return columns;
}

const Bucket* find_bucket(const PositionCurve& curve, int64_t begin, int64_t end) {
  for (const Bucket& bucket : curve.buckets) {
    if (bucket.begin == begin && bucket.end == end && bucket.count > 0) return &bucket;
  }
  return nullptr;
}

double score(const std::string& task, const Bucket& bucket) {
  const double value = task == "recall" ? -bucket.accuracy : bucket.loss;
  return std::isfinite(value) ? value : std::numeric_limits<double>::infinity();
}

std::optional<Estimate> score_at(const PositionCurve& curve, int64_t begin, int64_t end) {
  return estimate_of(curve, [&](const PositionCurve& run) -> std::optional<Estimate> {
    const Bucket* bucket = find_bucket(run, begin, end);
    if (bucket == nullptr) return std::nullopt;
    const bool recall = run.task == "recall";
    const SequenceMeans& means = bucket->by_sequence;
    return Estimate{.value = score(run.task, *bucket),
                    .error = recall ? bucket->accuracy_error : bucket->loss_error,
                    .seeds = {},
                    // The sign of the score does not matter for differences.
                    .by_sequence = deviations(means.labels, recall ? means.accuracy : means.loss),
                    .sequences = sequences_read(run.measured)};
  });
}

std::string windows_name(const PositionCurve& curve) {
  return core::message("windows of ", position_name(curve.window));
}

std::string multiple_name(int64_t position, int64_t training_length) {
  const double multiple = static_cast<double>(position) / static_cast<double>(training_length);
  const double shown = multiple >= 100 ? std::round(multiple) : std::round(multiple * 10) / 10;
  return core::message(shown, "×");
}

}  // namespace longhaul::eval
