#include "eval/section.h"

#include <algorithm>
#include <cmath>
#include <regex>
#include <utility>

#include "eval/plot.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

NameAndStep split_step(const std::string& file_name) {
  std::smatch match;
  static const std::regex pattern("(.*?)[-_.]?step-?([0-9]{1,15})");
  if (!std::regex_match(file_name, match, pattern)) return {.name = file_name};
  return {.name = match[1], .step = std::stoll(match[2])};
}

std::vector<Section> make_sections(const std::vector<RunFolder>& runs) {
  std::vector<Section> sections;
  for (const char* task : {"text", "recall"}) {
    std::vector<std::vector<Named<const PositionCurve*>>> results;
    for (const RunFolder& run : runs) {
      auto& own = results.emplace_back();
      for (const Named<PositionCurve>& evaluation : run.evaluations) {
        if (evaluation.value.task == task) own.push_back({evaluation.name, &evaluation.value});
      }
    }
    for (LinedUp<PositionCurve>& lined : line_up(results)) {
      Section section{.task = task,
                      .title = std::string(task) == "text" ? "Text" : "Associative recall",
                      .curves = std::move(lined.arms)};
      if (!lined.name.empty() && lined.name != task) section.title += ": " + lined.name;
      section.training_length = shortest_training(section.curves);
      sections.push_back(std::move(section));
    }
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
