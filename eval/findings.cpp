#include "eval/findings.h"

#include <cmath>
#include <cstdio>
#include <functional>

#include "eval/plot.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

enum class Verdict { kHolds, kFails, kUnknown };

struct ArmFinding {
  Verdict verdict = Verdict::kUnknown;
  std::string sentence;
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

bool exceeds(double difference, double error_a, double error_b) {
  return difference > 2 * std::hypot(error_a, error_b);
}

/// Of a mean over seeds, each judged by itself, by its own noise: most decide.
struct SeedVerdicts {
  int64_t failing = 0, known = 0;
  bool most_fail() const { return 2 * failing > known; }
};

SeedVerdicts judge_seeds(const PositionCurve& mean,
                         const std::function<Verdict(const PositionCurve&)>& judge) {
  SeedVerdicts seeds;
  for (const Named<PositionCurve>& seed : mean.of_seeds) {
    const Verdict verdict = judge(seed.value);
    seeds.known += verdict != Verdict::kUnknown;
    seeds.failing += verdict == Verdict::kFails;
  }
  return seeds;
}

/// Is `later` past the training length worse than `inside` at its end, beyond noise? `curve` is
/// where they are from.
bool is_failure(const PositionCurve& curve, const Bucket& inside, const Bucket& later) {
  const SeedVerdicts seeds = judge_seeds(curve, [&](const PositionCurve& seed) {
    const Bucket* own_inside = find_bucket(seed, inside.begin, inside.end);
    const Bucket* own_later = find_bucket(seed, later.begin, later.end);
    if (own_inside == nullptr || own_later == nullptr) return Verdict::kUnknown;
    return is_failure(seed, *own_inside, *own_later) ? Verdict::kFails : Verdict::kHolds;
  });
  if (seeds.known > 0) return seeds.most_fail();
  if (!std::isfinite(later.loss)) return true;
  if (curve.task == "recall") {
    const double drop = inside.accuracy - later.accuracy;
    return drop > kFailingDrop && exceeds(drop, inside.accuracy_error, later.accuracy_error);
  }
  const double rise = later.loss - inside.loss;
  return rise > std::log(kFailingRatio) && exceeds(rise, inside.loss_error, later.loss_error);
}

double badness(const std::string& task, const Bucket& bucket) {
  return task == "recall" ? -bucket.accuracy : bucket.loss;
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
  return "; the deviation of its state there is " + shown(ratio, "%.3g") + " × that inside";
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

ArmFinding find(const PositionCurve& curve) {
  ArmFinding result;
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
    if (inside != nullptr && is_failure(curve, *inside, bucket)) {
      result.verdict = Verdict::kFails;
    }
  }
  if (inside == nullptr || !std::isfinite(inside->loss)) {
    return {.sentence = "it has no finite loss inside its training length"};
  }
  if (curve.task == "recall" && inside->accuracy < kLearned) {
    return {.sentence = "it has not learned the task: accuracy inside its training length is " +
                        shown(100 * inside->accuracy, "%.1f%%")};
  }
  if (far == nullptr) return {.sentence = "it was not evaluated past its training length"};
  if (result.verdict != Verdict::kFails) result.verdict = Verdict::kHolds;
  result.sentence = (curve.task == "recall" ? "accuracy at " : "perplexity at ") +
                    multiple_name(far->end, trained) + " the training length is " +
                    comparison(curve.task, *inside, *far) + state_sentence(curve);
  if (badness(curve.task, *worst) > badness(curve.task, *far) &&
      is_failure(curve, *inside, *worst)) {
    result.sentence += "; worst at " + multiple_name(worst->end, trained) + ": " +
                       comparison(curve.task, *inside, *worst);
  }
  return result;
}

ArmFinding find_in_arm(const PositionCurve& arm) {
  ArmFinding result = find(arm);
  const SeedVerdicts seeds =
      judge_seeds(arm, [](const PositionCurve& seed) { return find(seed).verdict; });
  if (seeds.known == 0) return result;
  result.verdict = seeds.most_fail() ? Verdict::kFails : Verdict::kHolds;
  result.sentence = core::message("fails in ", seeds.failing, " of ", seeds.known,
                                  " seeds; in their mean ", result.sentence);
  return result;
}

std::string verdict_over_arms(const std::vector<std::string>& failing,
                              const std::vector<std::string>& holding, size_t unknown) {
  if (failing.empty() && holding.empty()) {
    return "Nothing can be said about lengths past the training length.";
  }
  const std::string rest = unknown > 0 ? " (of the others nothing can be said)" : "";
  if (failing.empty()) {
    return "No arm fails past its training length" + rest +
           ": there is no failure here that another initial state could have cured.";
  }
  if (holding.empty()) return "Every arm fails past its training length" + rest + ".";
  return joined(failing) + (failing.size() == 1 ? " fails" : " fail") +
         " past the training length; " + joined(holding) +
         (holding.size() == 1 ? " holds" : " hold") + rest + ".";
}

}  // namespace

std::vector<std::string> findings(const Section& section, const std::vector<std::string>& arms) {
  std::vector<std::string> sentences{""}, failing, holding, lacking;
  size_t unknown = 0;
  for (size_t i = 0; i < arms.size(); ++i) {
    if (section.curves[i] == nullptr) {
      lacking.push_back(arms[i]);
      continue;
    }
    const ArmFinding found = find_in_arm(*section.curves[i]);
    if (found.verdict == Verdict::kFails) failing.push_back(arms[i]);
    if (found.verdict == Verdict::kHolds) holding.push_back(arms[i]);
    unknown += found.verdict == Verdict::kUnknown;
    sentences.push_back(arms[i] + ": " + found.sentence + ".");
  }
  sentences.front() = verdict_over_arms(failing, holding, unknown);
  if (!lacking.empty()) sentences.push_back("Not evaluated: " + joined(lacking) + ".");
  return sentences;
}

}  // namespace longhaul::eval
