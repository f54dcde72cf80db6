// From a sweep's configuration to its arms.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launch/run_config.h"
#include "launch/sweep/sweep_config.h"

namespace longhaul::launch {

/// One run of a sweep.
struct Arm {
  std::string name;                    ///< "rate=0.001,source=tbtt,seed=2"
  std::vector<std::string> overrides;  ///< of the base, run.folder included
  RunConfig config;                    ///< what they make of it
};

/// What a sweep compares: arms that differ in their seed alone.
struct Recipe {
  std::string name;
  Assignment values;  ///< as the arms' configuration has them, texts without quotes
  std::vector<Arm> arms;
};

struct ArmList {
  std::vector<Recipe> recipes;
  int64_t excluded = 0;  ///< by constraints
};

/// Expands the sweep: the same configuration gives the same names in the same order, and an arm's
/// name depends on its own values alone, so that a sweep that grew keeps its runs (without `seeds`
/// arms are called by their recipe: one that is trained keeps that name when seeds are added).
/// Every problem of every arm's configuration is reported (InputError naming the arm), as are equal
/// arms and a sweep of which nothing is left.
ArmList expand_arms(const SweepConfig& sweep);

/// Where an arm's run is: FOLDER/arms/NAME.
std::string arm_folder(const SweepConfig& sweep, const std::string& name);

/// The recipes before constraints, as written in the sweep: combinations of a grid (the last key
/// runs fastest), the list as given, or random draw number `i` = 0, 1, … of endless many.
std::vector<Assignment> grid(const std::vector<Choices>& choices);
Assignment random_draw(const std::vector<Choices>& choices, int64_t seed, int64_t i);

/// A name for files: the keys' last parts with their values; what has no place in one is replaced,
/// and then, as where it would be long, a checksum added.
std::string recipe_name(const Assignment& values);

}  // namespace longhaul::launch
