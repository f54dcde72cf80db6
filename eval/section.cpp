#include "eval/section.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <regex>

#include "eval/plot.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

struct NameAndStep {
  std::string name;
  int64_t step = -1;
};

NameAndStep split_step(const std::string& file_name) {
  std::smatch match;
  static const std::regex pattern("(.*?)[-_.]?step-?([0-9]{1,15})");
  if (!std::regex_match(file_name, match, pattern)) return {.name = file_name};
  return {.name = match[1], .step = std::stoll(match[2])};
}

/// Of one task: file name without step → the curve of the latest step.
std::map<std::string, const PositionCurve*> curves_of(const RunFolder& run,
                                                      const std::string& task) {
  std::map<std::string, const PositionCurve*> curves;
  std::map<std::string, int64_t> steps;
  for (const NamedCurve& evaluation : run.evaluations) {
    if (evaluation.curve.task != task) continue;
    const NameAndStep key = split_step(evaluation.name);
    const auto [known, fresh] = steps.try_emplace(key.name, key.step);
    if (!fresh && known->second > key.step) continue;
    known->second = key.step;
    curves[key.name] = &evaluation.curve;
  }
  return curves;
}

Section make_section(const std::string& task, const std::string& name,
                     const std::vector<std::map<std::string, const PositionCurve*>>& arms) {
  Section section{.task = task, .title = task == "text" ? "Text" : "Associative recall"};
  if (!name.empty() && name != task) section.title += ": " + name;
  for (const auto& curves : arms) {
    const PositionCurve* curve = nullptr;
    if (name.empty()) {
      if (!curves.empty()) curve = curves.begin()->second;
    } else if (const auto found = curves.find(name); found != curves.end()) {
      curve = found->second;
    }
    section.curves.push_back(curve);
    const int64_t trained = curve != nullptr ? curve->training_length : 0;
    if (trained > 0 && (section.training_length == 0 || trained < section.training_length)) {
      section.training_length = trained;
    }
  }
  return section;
}

}  // namespace

std::vector<Section> make_sections(const std::vector<RunFolder>& runs) {
  std::vector<Section> sections;
  for (const char* task : {"text", "recall"}) {
    std::vector<std::map<std::string, const PositionCurve*>> arms;
    std::map<std::string, bool> names;
    size_t most = 0;
    for (const RunFolder& run : runs) {
      arms.push_back(curves_of(run, task));
      most = std::max(most, arms.back().size());
      for (const auto& entry : arms.back()) names[entry.first] = true;
    }
    if (most == 0) continue;
    if (most == 1) {
      sections.push_back(make_section(task, "", arms));
      continue;
    }
    for (const auto& entry : names) sections.push_back(make_section(task, entry.first, arms));
  }
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

std::string multiple_name(int64_t position, int64_t training_length) {
  const double multiple = static_cast<double>(position) / static_cast<double>(training_length);
  const double shown = multiple >= 100 ? std::round(multiple) : std::round(multiple * 10) / 10;
  return core::message(shown, "×");
}

}  // namespace longhaul::eval
