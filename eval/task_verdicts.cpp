#include "eval/task_verdicts.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "eval/conditions.h"
#include "eval/formatted.h"
#include "eval/task_section.h"
#include "eval/tasks/paired_trials.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

constexpr double kNormal = 1.959963984540054;  // half of a 95 % interval, in standard errors
constexpr size_t kMostNames = 3;

Estimate accuracy_at(const TaskResult& arm, int64_t length) {
  const auto of_run = [&](const TaskResult& run) -> std::optional<Estimate> {
    const TaskCell cell = pooled_cell(run, length, 0, 1);
    if (cell.trials == 0) return std::nullopt;
    return Estimate{.value = cell.accuracy, .error = (cell.high - cell.low) / (2 * kNormal)};
  };
  return estimate_of(arm, of_run).value_or(Estimate{});
}

/// `other` against the best.
void judge(const LinedUp<TaskResult>& section, const ArmVerdict& best, ArmVerdict& other) {
  const TaskResult &of_best = *section.arms[best.arm], &of_other = *section.arms[other.arm];
  const int64_t length = best.cell.length;
  if (const auto trials = compare_trials(of_best, of_other, length)) {
    other.best = *trials;
  } else if (has_seeds(section.arms)) {
    other.best = compare(accuracy_at(of_best, length), accuracy_at(of_other, length));
  } else {
    other.best = {.difference = best.cell.accuracy - other.cell.accuracy,
                  .apart = other.cell.high < best.cell.low};
  }
  // Seeds that both have may say the contrary of all.
  other.apart = other.best.apart.value_or(false) && other.best.difference > 0;
}

LengthVerdict verdict_at(const LinedUp<TaskResult>& section, int64_t length) {
  LengthVerdict verdict{.length = length, .arms = {}};
  for (size_t i = 0; i < section.arms.size(); ++i) {
    if (section.arms[i] == nullptr) continue;
    const TaskCell cell = pooled_cell(*section.arms[i], length, 0, 1);
    if (cell.trials > 0) verdict.arms.push_back({.arm = i, .cell = cell});
  }
  std::stable_sort(verdict.arms.begin(), verdict.arms.end(),
                   [](const auto& a, const auto& b) { return a.cell.accuracy > b.cell.accuracy; });
  for (size_t i = 1; i < verdict.arms.size(); ++i) {
    judge(section, verdict.arms.front(), verdict.arms[i]);
  }
  return verdict;
}

std::string noise_of(const LinedUp<TaskResult>& section,
                     const std::vector<LengthVerdict>& lengths) {
  bool trials = false, others = false;
  for (const LengthVerdict& verdict : lengths) {
    for (const ArmVerdict& arm : std::span(verdict.arms).subspan(1)) {
      if (arm.apart) continue;
      (arm.best.pairing == Pairing::kTrials ? trials : others) = true;
    }
  }
  const bool seeds = has_seeds(section.arms);
  std::string noise;
  if (others) noise = seeds ? noise_name(seeds) : "their 95 % intervals, which overlap";
  if (trials) {
    noise += (noise.empty() ? "" : " or, where paired, ") +
             std::string("the exact test of McNemar at 95 % (graded scores: Student's t)");
  }
  return noise;
}

/// What is said of neighbouring lengths together: who answers best, and who does not.
struct Told {
  std::vector<const LengthVerdict*> lengths;
  std::vector<size_t> best;  ///< arms that are not told apart, the best first
  size_t other = 0;          ///< the worst of those that are
  bool is_worst = true;      ///< of all arms
  Pairing pairing = Pairing::kNone;

  bool is_like(const Told& next) const {
    return best == next.best && other == next.other && is_worst == next.is_worst &&
           pairing == next.pairing;
  }
};

/// None where the best is told apart from nobody.
std::optional<Told> told_at(const LengthVerdict& verdict) {
  Told told{.lengths = {&verdict}, .best = {}};
  const ArmVerdict* other = nullptr;
  for (const ArmVerdict& arm : verdict.arms) {
    if (!arm.apart) {
      told.best.push_back(arm.arm);
    } else if (other == nullptr || arm.cell.accuracy < other->cell.accuracy) {
      other = &arm;
    }
  }
  if (other == nullptr) return std::nullopt;
  told.other = other->arm;
  told.is_worst = other->cell.accuracy <= verdict.arms.back().cell.accuracy;
  told.pairing = other->best.pairing;
  return told;
}

const ArmVerdict& of_arm(const LengthVerdict& verdict, size_t arm) {
  return *std::find_if(verdict.arms.begin(), verdict.arms.end(),
                       [&](const ArmVerdict& each) { return each.arm == arm; });
}

/// "90", "90 to 25": of the first length and the last.
template <class Text>
std::string ends_of(const Told& told, const Text& text) {
  const std::string first = text(*told.lengths.front());
  const std::string last = text(*told.lengths.back());
  return first == last ? first : first + " to " + last;
}

std::string accuracies(const Told& told, size_t arm) {
  return ends_of(told, [&](const LengthVerdict& verdict) {
    return formatted("%.0f", 100 * of_arm(verdict, arm).cell.accuracy);
  });
}

/// "a and b answer best (19, 16 %; not told apart)".
std::string best_text(const Told& told, const std::vector<std::string>& arms) {
  std::vector<std::string> names;
  std::string shares;
  for (const size_t arm : std::span(told.best).first(std::min(kMostNames, told.best.size()))) {
    names.push_back(arms[arm]);
    shares += (shares.empty() ? "" : ", ") + accuracies(told, arm);
  }
  if (told.best.size() > kMostNames) {
    names.push_back(core::message(told.best.size() - kMostNames, " more"));
  }
  const bool one = told.best.size() == 1;
  return listed(names) + (one ? " answers" : " answer") + " best (" + shares + " %" +
         (one ? ")" : "; not told apart)");
}

/// Of the best and the other where they were paired.
std::string paired_text(const Told& told) {
  if (told.pairing != Pairing::kTrials) return "";
  const std::string sizes = ends_of(told, [&](const LengthVerdict& verdict) {
    return of_arm(verdict, told.other).best.size("%.0f", 100);
  });
  const std::string who = told.best.size() == 1 ? "they differ" : "the first and it differ";
  return "; paired trial by trial " + who + " by " + sizes;
}

/// "16 letters"; `bare`: without the unit, which another length tells.
std::string name_of(const LinedUp<TaskResult>& section, int64_t length, bool bare) {
  const TaskScoring& scoring = scoring_of(section);
  return bare && !scoring.unit().empty() ? std::to_string(length) : length_name(scoring, length);
}

std::string text_of(const LinedUp<TaskResult>& section, const Told& told,
                    const std::vector<std::string>& arms) {
  const int64_t first = told.lengths.front()->length, last = told.lengths.back()->length;
  const std::string where = first == last ? "at " + name_of(section, first, false)
                                          : "from " + name_of(section, first, true) + " to " +
                                                name_of(section, last, false);
  const std::string other = told.is_worst
                                ? arms[told.other] + " worst"
                                : arms[told.best.front()] + " better than " + arms[told.other];
  return where + ", " + best_text(told, arms) + ", " + other + " (" + accuracies(told, told.other) +
         " %" + paired_text(told) + ")";
}

/// Of each run of neighbouring lengths with one verdict.
std::vector<Told> told_together(const LinedUp<TaskResult>& section, const TaskVerdicts& verdicts) {
  std::vector<Told> all;
  bool neighbours = false;
  auto verdict = verdicts.lengths.begin();
  for (const int64_t length : lengths_of(section)) {
    std::optional<Told> told;
    if (verdict != verdicts.lengths.end() && verdict->length == length) told = told_at(*verdict++);
    const bool is_told = told.has_value();
    if (is_told && neighbours && all.back().is_like(*told)) {
      all.back().lengths.push_back(told->lengths.front());
    } else if (is_told) {
      all.push_back(*std::move(told));
    }
    neighbours = is_told;
  }
  return all;
}

/// "not told apart at 4, 6 and 10 letters"; "" where at no length.
std::string open_text(const LinedUp<TaskResult>& section, const TaskVerdicts& verdicts) {
  std::vector<int64_t> open;
  for (const LengthVerdict& verdict : verdicts.lengths) {
    if (!told_at(verdict)) open.push_back(verdict.length);
  }
  std::vector<std::string> names;
  for (const int64_t length : open)
    names.push_back(name_of(section, length, length != open.back()));
  return names.empty() ? "" : "not told apart at " + listed(names);
}

}  // namespace

std::string TaskVerdicts::mark(int64_t length, size_t arm) const {
  for (const LengthVerdict& verdict : lengths) {
    if (verdict.length != length || verdict.arms.front().cell.accuracy <= 0) continue;
    if (verdict.arms.front().arm == arm) return kBest;
    for (const ArmVerdict& each : verdict.arms) {
      if (each.arm == arm && !each.apart) return kNotApart;
    }
  }
  return "";
}

TaskVerdicts judge_task(const LinedUp<TaskResult>& section) {
  TaskVerdicts verdicts;
  for (const int64_t length : lengths_of(section)) {
    LengthVerdict verdict = verdict_at(section, length);
    if (verdict.arms.size() > 1) verdicts.lengths.push_back(std::move(verdict));
  }
  verdicts.noise = noise_of(section, verdicts.lengths);
  return verdicts;
}

std::string verdict_sentence(const LinedUp<TaskResult>& section, const TaskVerdicts& verdicts,
                             const std::vector<std::string>& arms) {
  std::string sentence;
  const auto add = [&](const std::string& text) {
    sentence += (sentence.empty() || text.empty() ? "" : "; ") + text;
  };
  for (const Told& told : told_together(section, verdicts)) add(text_of(section, told, arms));
  add(open_text(section, verdicts));
  if (sentence.empty()) return "share of right answers.";
  if (!verdicts.noise.empty()) {
    sentence += ": " + seeds_name(section.arms) + ", by " + verdicts.noise;
  }
  return sentence + ".";
}

}  // namespace longhaul::eval
