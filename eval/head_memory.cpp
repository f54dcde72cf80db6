#include "eval/head_memory.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "eval/formatted.h"
#include "eval/median.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

bool is_beyond(double memory, int64_t training_length) {
  return !(memory <= static_cast<double>(training_length));
}

double infinite_if_nan(double memory) {
  return std::isnan(memory) ? std::numeric_limits<double>::infinity() : memory;
}

}  // namespace

void summarize_elements(std::span<double> sums, int64_t tokens, int64_t training_length,
                        std::span<double, kElementNumbers> numbers) {
  double beyond = 0;
  for (double& value : sums) {
    const double memory = memory_at(value / static_cast<double>(tokens));
    beyond += is_beyond(memory, training_length);
    value = std::log(memory);
  }
  std::sort(sums.begin(), sums.end(),
            [](double a, double b) { return std::isnan(b) ? !std::isnan(a) : a < b; });
  const size_t middle = sums.size() / 2;
  numbers[0] = sums.front();
  numbers[1] = sums.size() % 2 == 1 ? sums[middle] : (sums[middle - 1] + sums[middle]) / 2;
  numbers[2] = sums.back();
  numbers[3] = beyond / static_cast<double>(sums.size());
}

ElementMemory element_memory(std::span<const double, kElementNumbers> numbers, size_t sequences,
                             int64_t training_length) {
  const auto count = static_cast<double>(sequences);
  return {.shortest = std::exp(numbers[0] / count),
          .median = std::exp(numbers[1] / count),
          .longest = std::exp(numbers[2] / count),
          .beyond = training_length > 0 ? numbers[3] / count : std::nan("")};
}

MemorySummary memory_summary(const StateStatistics& states) {
  MemorySummary summary{.shortest = std::numeric_limits<double>::infinity(), .beyond = {}};
  std::vector<double> memories;
  double heads_beyond = 0, share = 0;
  for (const HeadStates& head : states.heads) {
    const double own = infinite_if_nan(head.memory());
    const ElementMemory ends =
        head.elements.value_or(ElementMemory{.shortest = own, .longest = own});
    memories.push_back(own);
    summary.shortest = std::min(summary.shortest, infinite_if_nan(ends.shortest));
    summary.longest = std::max(summary.longest, infinite_if_nan(ends.longest));
    heads_beyond += is_beyond(own, states.training_length);
    share += ends.beyond / static_cast<double>(states.heads.size());
  }
  summary.median = median(memories);
  if (states.training_length > 0) summary.beyond = has_elements(states) ? share : heads_beyond;
  return summary;
}

bool has_elements(const StateStatistics& states) {
  return std::any_of(states.heads.begin(), states.heads.end(),
                     [](const HeadStates& head) { return head.elements.has_value(); });
}

std::string head_word(const StateStatistics& states) {
  return has_elements(states) ? "layer" : "head";
}

std::string head_name(const HeadStates& head) {
  const std::string layer = core::message("layer ", head.layer);
  return head.elements ? layer : core::message(layer, " head ", head.head);
}

std::string memory_text(const StateStatistics& states) {
  const MemorySummary summary = memory_summary(states);
  std::string text = core::message("memory of ", has_elements(states) ? "the elements of " : "",
                                   states.heads.size(), " ", head_word(states), "s") +
                     formatted(", tokens until 1/e: shortest %.4g, median %.4g, longest %.4g",
                               summary.shortest, summary.median, summary.longest);
  if (!has_elements(states) || !summary.beyond) return text;
  return text + core::message("; ", percent_text(*summary.beyond),
                              " remember longer than the training length, ",
                              states.training_length);
}

std::string percent_text(double share) { return formatted("%.3g %%", 100 * share); }

}  // namespace longhaul::eval
