// What a sweep has come to: tables and plots.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "launch/sweep/standing.h"

namespace longhaul::launch {

enum class RecipeState : uint8_t { kOpen, kDone, kEnded, kFailed };

/// A recipe and what is known of it.
struct RecipeResult {
  const Recipe* recipe = nullptr;
  RecipeState state = RecipeState::kOpen;
  std::vector<std::string> failed_measures;  ///< of any of its arms, where all were trained
  bool is_final = false;         ///< trained, and nothing is left but measures that failed
  int64_t step = 0;              ///< the least of its arms'; ended: where halving ended it
  std::optional<double> metric;  ///< mean over its arms at their newest steps
  double deviation = 0;          ///< between its arms (n − 1); 0 with one arm
};

/// Sorted: final recipes first, then those that came further, then by the metric; those without a
/// value behind all others, failed ones last. Points into `list`.
std::vector<RecipeResult> sweep_results(const SweepConfig& sweep, const ArmList& list,
                                        const Standing& standing);

/// `sweep status`: one row an arm, and the reasons of those that failed.
std::string arm_table(const SweepConfig& sweep, const ArmList& list, const Standing& standing);

/// `sweep report`: one row a recipe, in the order of sweep_results.
std::string recipe_table(const SweepConfig& sweep, const std::vector<RecipeResult>& results);

/// The table and a scatter plot for each key with numbers, as a page of HTML; colours by the first
/// key with other values.
std::string report_page(const SweepConfig& sweep, const std::vector<RecipeResult>& results);

/// FOLDER/recipes.csv, in the order of sweep_results, and FOLDER/arms.csv: the same numbers, and
/// those that they are the means of, for other programs. Value is of the metric.
void write_sweep_csv(const std::filesystem::path& folder, const SweepConfig& sweep,
                     const std::vector<RecipeResult>& results);

/// The configuration of the best recipe that is final (its first arm's), with run.folder
/// FOLDER/best, as YAML; nothing while there is none.
std::optional<std::string> best_recipe_yaml(const SweepConfig& sweep,
                                            const std::vector<RecipeResult>& results);

}  // namespace longhaul::launch
