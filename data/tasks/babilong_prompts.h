// What BABILong says around the context: what is to be done, worked examples, the form of answers.
#pragma once

#include <cstdint>
#include <string>

namespace longhaul::data {

/// Tasks that there are prompts for: qa1 to qa6.
inline constexpr int kBabilongTasks = 6;

/// Examples that the benchmark shows: two; three for qa5.
int64_t babilong_shots(int task);

/// What comes before the context's first word: with `instruction` what is to be done, `shots`
/// worked examples (−1: as many as the benchmark shows; no more than those) and the form of the
/// answer.
std::string babilong_head(int task, int64_t shots, bool instruction);
/// What comes after its last: ends with the question. The answer begins with a new line.
std::string babilong_tail(const std::string& question);

}  // namespace longhaul::data
