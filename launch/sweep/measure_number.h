// One number out of an evaluation's file, for comparing recipes by.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "launch/sweep/measure_config.h"

namespace longhaul::launch {

/// `name`: over everything that was measured, with "_at_end" at its greatest length only; or, where
/// `at` is above 0, there.
///   perplexity, recall: loss, perplexity, accuracy; at: the bucket of the last of so many tokens
///   passkey, babilong, copy: accuracy, exact (share of trials all right), over all depths and
///                            parts; at: a length
///   effrem: distance; at: tokens left out (needed)
///   states: mean, deviation, norm; at: a position (or _at_end)
struct MeasureNumber {
  std::string name;
  int64_t at = 0;
};

/// What is wrong with `name` or `at`, or "".
std::string wrong_number_name(const MeasureConfig& measure, const MeasureNumber& number);
std::string wrong_number_place(const MeasureConfig& measure, const MeasureNumber& number);

/// Nothing where the file does not have it or it is not finite. InputError for a file that is no
/// evaluation of this kind.
std::optional<double> read_number(const std::filesystem::path& file, const MeasureConfig& measure,
                                  const MeasureNumber& number);

}  // namespace longhaul::launch
