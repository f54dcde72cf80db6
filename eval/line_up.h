// What was measured alike, side by side over all arms.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "eval/named.h"

namespace longhaul::eval {

/// One measurement over all arms: name is that of the files, without a step; "" where every run has
/// one at most.
template <class T>
struct LinedUp {
  std::string name;
  std::vector<const T*> arms;  ///< nullptr where an arm lacks it
};

/// What the arms were trained on, each length once, ascending: marks of plots over positions.
template <class T>
std::vector<int64_t> training_lengths(const std::vector<const T*>& arms) {
  std::set<int64_t> lengths;
  for (const T* arm : arms) {
    if (arm != nullptr && arm->training_length > 0) lengths.insert(arm->training_length);
  }
  return {lengths.begin(), lengths.end()};
}

struct NameAndStep {
  std::string name;
  int64_t step = -1;  ///< of names that end in "step-N"
};
NameAndStep split_step(const std::string& file_name);

/// One entry for each name, all names in order; where no run has several results, one for all
/// whatever they are called. Of names that end in "step-N" the last step counts. Points into
/// `runs`.
template <class T>
std::vector<LinedUp<T>> line_up(const std::vector<std::vector<Named<const T*>>>& runs) {
  std::vector<std::map<std::string, const T*>> arms;
  std::map<std::string, bool> names;
  size_t most = 0;
  for (const auto& results : runs) {
    std::map<std::string, int64_t> steps;
    std::map<std::string, const T*>& arm = arms.emplace_back();
    for (const Named<const T*>& result : results) {
      const NameAndStep key = split_step(result.name);
      const auto [known, fresh] = steps.try_emplace(key.name, key.step);
      if (!fresh && known->second > key.step) continue;
      known->second = key.step;
      arm[key.name] = result.value;
      names[key.name] = true;
    }
    most = std::max(most, arm.size());
  }
  std::vector<LinedUp<T>> all;
  if (most == 1) {
    all.push_back({.name = "", .arms = {}});
    for (const auto& arm : arms) {
      all.back().arms.push_back(arm.empty() ? nullptr : arm.begin()->second);
    }
    return all;
  }
  for (const auto& entry : names) {
    all.push_back({.name = entry.first, .arms = {}});
    for (const auto& arm : arms) {
      const auto found = arm.find(entry.first);
      all.back().arms.push_back(found != arm.end() ? found->second : nullptr);
    }
  }
  return all;
}

/// The same over one kind of result of every run.
template <class T, class Run>
std::vector<LinedUp<T>> line_up(const std::vector<Run>& runs, std::vector<Named<T>> Run::*kind) {
  std::vector<std::vector<Named<const T*>>> results;
  for (const Run& run : runs) {
    auto& own = results.emplace_back();
    for (const Named<T>& result : run.*kind) own.push_back({result.name, &result.value});
  }
  return line_up(results);
}

/// The shortest training length that is known of the arms; 0: none is.
template <class T>
int64_t shortest_training(const std::vector<const T*>& arms) {
  int64_t shortest = 0;
  for (const T* arm : arms) {
    const int64_t trained = arm != nullptr ? arm->training_length : 0;
    if (trained > 0 && (shortest == 0 || trained < shortest)) shortest = trained;
  }
  return shortest;
}

}  // namespace longhaul::eval
