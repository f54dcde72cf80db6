// How long heads remember: of their elements, where each has a decay of its own, and of all heads
// as the table, the report and the model card tell it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "eval/states.h"

namespace longhaul::eval {

/// What an evaluation keeps of the elements of a head in one sequence, in place of their decays:
/// numbers that add up over sequences.
constexpr size_t kElementNumbers = 4;
/// sums: Σ of log-decays over `tokens` of each element, which is put in order. training_length 0:
/// not known.
void summarize_elements(std::span<double> sums, int64_t tokens, int64_t training_length,
                        std::span<double, kElementNumbers> numbers);
/// numbers: over `sequences`.
ElementMemory element_memory(std::span<const double, kElementNumbers> numbers, size_t sequences,
                             int64_t training_length);

/// Over the heads of a model. Where elements have decays of their own, the shortest and longest
/// over all of them, and the median of the heads' medians. NaN counts as infinite.
struct MemorySummary {
  double shortest = 0, median = 0, longest = 0;
  /// That remember longer than the training length: how many heads, or the share of elements;
  /// absent where that length is not known.
  std::optional<double> beyond;
};
MemorySummary memory_summary(const StateStatistics& states);

/// Whether elements have decays of their own: heads are then whole layers, and called so.
bool has_elements(const StateStatistics& states);
/// "head", "layer".
std::string head_word(const StateStatistics& states);
/// "layer 3 head 2", "layer 3".
std::string head_name(const HeadStates& head);
/// "memory of 48 heads, tokens until 1/e: shortest 8, median 80, longest 900"; of elements with
/// "; 18 % remember longer than the training length, 64".
std::string memory_text(const StateStatistics& states);
/// "18 %"
std::string percent_text(double share);

}  // namespace longhaul::eval
