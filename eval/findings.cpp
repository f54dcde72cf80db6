#include "eval/findings.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>

#include "eval/plot.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

/// In the order in which what is found at one position outweighs what is found at others.
enum class Verdict { kHolds, kUndecided, kFails, kUnknown };

struct Judgement {
  Verdict verdict = Verdict::kHolds;
  std::string why;  ///< it is undecided
};

struct ArmFinding {
  Verdict verdict = Verdict::kUnknown;
  int64_t failing_seeds = 0;
  std::string sentence;
  std::string why;  ///< it is undecided
};

std::string shown(double value, const char* format) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out += i + 1 == names.size() ? " and " : ", ";
    out += names[i];
  }
  return out;
}

/// Of a mean over seeds, each judged by itself, by its own noise: most decide.
struct SeedVerdicts {
  int64_t failing = 0, undecided = 0, known = 0;
  Verdict most() const {
    if (2 * failing > known) return Verdict::kFails;
    const int64_t holding = known - failing - undecided;
    return 2 * holding > known ? Verdict::kHolds : Verdict::kUndecided;
  }
};

/// What is judged: a run or a mean over seeds, and what it reaches with short context, if known.
struct Judged {
  const PositionCurve& curve;
  const PositionCurve* floor = nullptr;
};

const PositionCurve* seed_of(const PositionCurve* mean, const std::string& name) {
  if (mean == nullptr) return nullptr;
  const auto found = std::find_if(mean->of_seeds.begin(), mean->of_seeds.end(),
                                  [&](const auto& seed) { return seed.name == name; });
  return found != mean->of_seeds.end() ? &found->value : nullptr;
}

SeedVerdicts judge_seeds(const Judged& mean, const std::function<Verdict(const Judged&)>& judge) {
  SeedVerdicts seeds;
  for (const Named<PositionCurve>& seed : mean.curve.of_seeds) {
    const Verdict verdict = judge({.curve = seed.value, .floor = seed_of(mean.floor, seed.name)});
    seeds.known += verdict != Verdict::kUnknown;
    seeds.failing += verdict == Verdict::kFails;
    seeds.undecided += verdict == Verdict::kUndecided;
  }
  return seeds;
}

/// Of the difference of two buckets of one run: both are of the same sequences, of which some are
/// hard throughout.
double error_of_change(const Bucket& inside, const Bucket& later, bool recall) {
  const auto of = [&](const Bucket& bucket) {
    const SequenceMeans& means = bucket.by_sequence;
    return deviations(means.labels, recall ? means.accuracy : means.loss);
  };
  const Deviations change = difference(of(later), of(inside));
  if (!change.values.empty()) return clustered_error(change);
  return recall ? std::hypot(inside.accuracy_error, later.accuracy_error)
                : std::hypot(inside.loss_error, later.loss_error);
}

/// Is `later` past the training length worse than `inside` at its end, or than the floor there,
/// beyond noise? All of one run.
Judgement judge_run(const Judged& judged, const Bucket& inside_it, const Bucket& later) {
  if (!std::isfinite(later.loss)) return {.verdict = Verdict::kFails, .why = ""};
  const PositionCurve& run = judged.curve;
  const Bucket* floor =
      judged.floor != nullptr ? find_bucket(*judged.floor, later.begin, later.end) : nullptr;
  const Bucket& inside = floor != nullptr ? *floor : inside_it;
  const bool recall = run.task == "recall";
  const double worse = recall ? inside.accuracy - later.accuracy : later.loss - inside.loss;
  const double error = error_of_change(inside, later, recall);
  if (std::isnan(error)) {
    return {.verdict = Verdict::kUndecided,
            .why = run.sequences == 1 ? "one sequence says nothing of chance"
                                      : "standard errors are not known"};
  }
  if (worse <= (recall ? kFailingDrop : std::log(kFailingRatio))) return {};
  if (worse > 2 * error) return {.verdict = Verdict::kFails, .why = ""};
  return {.verdict = Verdict::kUndecided,
          .why = core::message("at ", multiple_name(later.end, run.training_length),
                               " it is worse, but by less than two standard errors (",
                               run.sequences, " sequences)")};
}

/// The same of a curve, which may be a mean over seeds.
Judgement judge(const Judged& judged, const Bucket& inside, const Bucket& later) {
  const SeedVerdicts seeds = judge_seeds(judged, [&](const Judged& seed) {
    const Bucket* own_inside = find_bucket(seed.curve, inside.begin, inside.end);
    const Bucket* own_later = find_bucket(seed.curve, later.begin, later.end);
    if (own_inside == nullptr || own_later == nullptr) return Verdict::kUnknown;
    return judge_run(seed, *own_inside, *own_later).verdict;
  });
  if (seeds.known > 0) return {.verdict = seeds.most(), .why = ""};
  return judge_run(judged, inside, later);
}

double badness(const std::string& task, const Bucket& bucket) {
  return task == "recall" ? -bucket.accuracy : bucket.loss;
}

/// What short context gives in the bucket `far`, and how far that is from it.
std::string floor_sentence(const Judged& judged, const Bucket& far) {
  if (judged.floor == nullptr) return "";
  const Bucket* floor = find_bucket(*judged.floor, far.begin, far.end);
  const auto own = score_at(judged.curve, far.begin, far.end),
             least = score_at(*judged.floor, far.begin, far.end);
  if (floor == nullptr || !own || !least) return "";
  const bool recall = judged.curve.task == "recall";
  const std::string reached = recall ? shown(100 * floor->accuracy, "%.1f%%")
                                     : shown(std::exp(floor->loss), "%.4g") + ", so that it is " +
                                           shown(std::exp(far.loss - floor->loss), "%.3g") +
                                           " × what short context gives";
  return "; " + windows_name(*judged.floor) + " reach " + reached +
         (differ(*own, *least).value_or(true) ? "" : " (not told apart)");
}

std::string state_sentence(const PositionCurve& curve) {
  const StatePoint *inside = nullptr, *far = nullptr;
  for (const StatePoint& point : curve.states) {
    if (point.position <= curve.training_length) inside = &point;
    far = &point;
  }
  if (inside == nullptr || far == inside) return "";
  const double ratio = far->deviation / inside->deviation;
  if (!std::isfinite(ratio)) return "; the deviation of its state there is not finite";
  const std::string where =
      inside->position == curve.training_length
          ? "inside"
          : core::message("at position ", inside->position, ", the last one measured inside");
  return "; the deviation of its state there is " + shown(ratio, "%.3g") + " × that " + where;
}

std::string comparison(const std::string& task, const Bucket& inside, const Bucket& later) {
  if (task == "recall") {
    return shown(100 * later.accuracy, "%.1f%%") + ", inside it " +
           shown(100 * inside.accuracy, "%.1f%%");
  }
  return shown(std::exp(later.loss - inside.loss), "%.3g") + " × that inside it (" +
         shown(std::exp(later.loss), "%.4g") + " after " + shown(std::exp(inside.loss), "%.4g") +
         ")";
}

ArmFinding find(const Judged& judged) {
  const PositionCurve& curve = judged.curve;
  ArmFinding result{.verdict = Verdict::kHolds, .sentence = "", .why = ""};
  const int64_t trained = curve.training_length;
  if (trained <= 0) return {.sentence = "its training length is not known"};
  const Bucket *inside = nullptr, *far = nullptr, *worst = nullptr;
  for (const Bucket& bucket : curve.buckets) {
    if (bucket.count == 0) continue;
    if (bucket.end <= trained) {
      inside = &bucket;
      continue;
    }
    if (bucket.begin < trained) continue;  // partly inside
    if (!std::isfinite(bucket.loss)) {
      return {
          .verdict = Verdict::kFails,
          .sentence = core::message("its loss is not finite from position ", bucket.begin, " on (",
                                    multiple_name(bucket.begin, trained), " the training length)")};
    }
    far = &bucket;
    const bool worse =
        worst == nullptr || badness(curve.task, bucket) > badness(curve.task, *worst);
    if (worse) worst = &bucket;
    if (inside == nullptr) continue;
    const Judgement here = judge(judged, *inside, bucket);
    if (here.verdict < result.verdict || here.verdict == Verdict::kHolds) continue;
    result.verdict = here.verdict;
    result.why = here.why;
  }
  if (inside == nullptr || !std::isfinite(inside->loss)) {
    return {.sentence = "it has no finite loss inside its training length"};
  }
  if (curve.task == "recall" && inside->accuracy < kLearned) {
    return {.sentence = "it has not learned the task: accuracy inside its training length is " +
                        shown(100 * inside->accuracy, "%.1f%%")};
  }
  if (far == nullptr) return {.sentence = "it was not evaluated past its training length"};
  result.sentence = (curve.task == "recall" ? "accuracy at " : "perplexity at ") +
                    multiple_name(far->end, trained) + " the training length is " +
                    comparison(curve.task, *inside, *far) + floor_sentence(judged, *far) +
                    state_sentence(curve);
  if (badness(curve.task, *worst) > badness(curve.task, *far) &&
      judge(judged, *inside, *worst).verdict == Verdict::kFails) {
    result.sentence += "; worst at " + multiple_name(worst->end, trained) + ": " +
                       comparison(curve.task, *inside, *worst);
  }
  return result;
}

ArmFinding find_in_arm(const Judged& arm) {
  ArmFinding result = find(arm);
  const SeedVerdicts seeds =
      judge_seeds(arm, [](const Judged& seed) { return find(seed).verdict; });
  if (seeds.known == 0) {
    if (result.verdict == Verdict::kUndecided) result.sentence += "; undecided: " + result.why;
    return result;
  }
  result.verdict = seeds.most();
  result.failing_seeds = seeds.failing;
  const std::string undecided =
      seeds.undecided > 0 ? core::message(" and is undecided in ", seeds.undecided) : "";
  result.sentence = core::message("fails in ", seeds.failing, undecided, " of ", seeds.known,
                                  " seeds; in their mean ", result.sentence);
  return result;
}

/// Arms by their verdict.
struct Verdicts {
  std::vector<std::string> failing, holding, undecided;
  size_t unknown = 0;
  bool some_seed_fails = false;
};

/// "a and b fail"
std::string clause(const std::vector<std::string>& arms, const char* of_one, const char* of_more) {
  return joined(arms) + (arms.size() == 1 ? of_one : of_more);
}

std::string verdict_over_arms(const Verdicts& arms) {
  const std::string rest = arms.unknown > 0 ? " (of the others nothing can be said)" : "";
  const bool none_fails = arms.failing.empty(), none_holds = arms.holding.empty();
  if (arms.undecided.empty()) {
    if (none_fails && none_holds) {
      return "Nothing can be said about lengths past the training length.";
    }
    if (none_fails && arms.some_seed_fails) {
      return "No arm fails past its training length in most of its seeds" + rest + ".";
    }
    if (none_fails) {
      return "No arm fails past its training length" + rest +
             ": there is no failure here that another initial state could have cured.";
    }
    if (none_holds) return "Every arm fails past its training length" + rest + ".";
  } else if (none_fails && none_holds) {
    return "Whether an arm fails past its training length is undecided" + rest + ".";
  }
  std::vector<std::string> clauses;
  if (!none_fails) {
    clauses.push_back(clause(arms.failing, " fails", " fail") + " past the training length");
  }
  if (!none_holds) clauses.push_back(clause(arms.holding, " holds", " hold"));
  if (!arms.undecided.empty()) {
    clauses.push_back(clause(arms.undecided, " is undecided", " are undecided"));
  }
  std::string out;
  for (const std::string& each : clauses) out += (out.empty() ? "" : "; ") + each;
  return out + rest + ".";
}

/// The reference that an arm is held against: of the widest windows up to its training length, no
/// less than half of it; or nullptr.
const PositionCurve* floor_of(const Section& section, size_t arm) {
  const int64_t trained = section.curves[arm]->training_length;
  const PositionCurve* widest = nullptr;
  for (const Reference& reference : section.references) {
    const int64_t window = reference.curve->window;
    if (reference.arm != arm || window > trained || 2 * window < trained) continue;
    if (widest == nullptr || widest->window < window) widest = reference.curve;
  }
  return widest;
}

}  // namespace

std::vector<std::string> findings(const Section& section, const std::vector<std::string>& arms) {
  if (section.of_windows) return {"what is reached with short context alone."};
  std::vector<std::string> sentences{""}, lacking;
  Verdicts verdicts;
  for (size_t i = 0; i < arms.size(); ++i) {
    if (section.curves[i] == nullptr) {
      lacking.push_back(arms[i]);
      continue;
    }
    const ArmFinding found =
        find_in_arm({.curve = *section.curves[i], .floor = floor_of(section, i)});
    if (found.verdict == Verdict::kFails) verdicts.failing.push_back(arms[i]);
    if (found.verdict == Verdict::kHolds) verdicts.holding.push_back(arms[i]);
    if (found.verdict == Verdict::kUndecided) verdicts.undecided.push_back(arms[i]);
    verdicts.unknown += found.verdict == Verdict::kUnknown;
    verdicts.some_seed_fails |= found.failing_seeds > 0;
    sentences.push_back(arms[i] + ": " + found.sentence + ".");
  }
  sentences.front() = verdict_over_arms(verdicts);
  if (!lacking.empty()) sentences.push_back("Not evaluated: " + joined(lacking) + ".");
  return sentences;
}

}  // namespace longhaul::eval
