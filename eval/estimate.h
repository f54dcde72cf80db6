// A number of each arm, and whether arms differ in it beyond noise.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "eval/identity.h"
#include "eval/named.h"
#include "eval/sequence_means.h"

namespace longhaul::eval {

struct Estimate {
  double value = 0;
  double error = 0;                  ///< standard error: of one run over what it read, else over
                                     ///< seeds; NaN: not known
  std::vector<Named<double>> seeds;  ///< of each; empty for one run
  Deviations by_sequence = {};       ///< of one run; empty: not known
  Identity sequences = {};           ///< which these are (sequences_read)
};

/// Their mean.
Estimate over_seeds(std::vector<Named<double>> seeds);

/// `of_run` finds the number in one run: an Estimate, or none. Of a mean over seeds it is asked for
/// every seed.
template <class T, class OfRun>
std::optional<Estimate> estimate_of(const T& arm, const OfRun& of_run) {
  if (arm.of_seeds.empty()) return of_run(arm);
  std::optional<Estimate> last;
  std::vector<Named<double>> seeds;
  for (const Named<T>& seed : arm.of_seeds) {
    const std::optional<Estimate> own = of_run(seed.value);
    if (!own) continue;
    last = own;
    seeds.push_back({seed.name, own->value});
  }
  return seeds.size() > 1 ? over_seeds(std::move(seeds)) : last;
}

/// What a difference is judged by.
enum class Pairing { kNone, kSequences, kSeeds, kTrials };

struct Comparison {
  double difference = 0;      ///< of the values, or of the pairs
  double error = 0;           ///< its standard error; NaN: not known
  std::optional<bool> apart;  ///< beyond noise; none: not known
  Pairing pairing = Pairing::kNone;

  /// "0.1 ± 0.02": how much they differ, in `format` times `scale`; without an error not known.
  std::string size(const char* format, double scale = 1) const;
  /// "; paired sequence by sequence they differ by 0.1 ± 0.02", numbers in `format` times `scale`;
  /// "" unless sequences or trials are paired.
  std::string text(const char* format, double scale = 1) const;
};

/// Arms that share two seeds or more by their differences seed by seed: the mean of these is not 0
/// (Student's t, 95 %). Runs over the same sequences by their differences sequence by sequence, in
/// the same way. Others by two standard errors of the difference; none where these are not known.
Comparison compare(const Estimate& a, const Estimate& b);
std::optional<bool> differ(const Estimate& a, const Estimate& b);

/// 97.5 % of Student's t lie below.
double student(int64_t degrees);

/// How `differ` judges, for readers; `seeds`: there are arms of several; `sequences`: runs may be
/// known by sequence.
std::string noise_name(bool seeds, bool sequences = false);

}  // namespace longhaul::eval
