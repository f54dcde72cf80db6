// What BABILong says around the context: what is to be done, worked examples, the form of answers.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace longhaul::data {

/// Tasks that there are prompts for: qa1 to qa6.
inline constexpr int kBabilongTasks = 6;

/// What is said of one task.
struct BabilongWords {
  std::string instruction;
  std::vector<std::string> examples;  ///< worked ones, each with story, question and answer
  std::string post_prompt;            ///< the form of the answer
};

/// The words of all tasks and how they are put together.
struct BabilongWording {
  /// {instruction}, {examples} (by line breaks between them) and {post_prompt}, each at most once;
  /// then {context}, then {question}. One that is empty takes the line break after it along.
  std::string layout;
  /// What is learnt and read after the question: {answer} is the story's.
  std::string answer;
  std::array<BabilongWords, kBabilongTasks> tasks;  ///< qa1 first
};

/// In words of our own: examples are as many as the benchmark shows (two; three for qa5).
const BabilongWording& built_in_babilong_wording();

/// What is wrong with a layout or an answer ("found no {context}, expected one"), or "".
std::string problem_of_layout(const std::string& layout);
std::string problem_of_answer(const std::string& answer);

/// What comes before the context's first word: with `instruction` what is to be done and the form
/// of the answer, between them `shots` worked examples (−1: all there are). InputError where there
/// are fewer. The layout has no problem.
std::string babilong_head(const BabilongWording& wording, int task, int64_t shots,
                          bool instruction);
/// What comes after its last: ends with the question. The answer begins with a new line.
std::string babilong_tail(const BabilongWording& wording, const std::string& question);
std::string babilong_answer(const BabilongWording& wording, const std::string& answer);

}  // namespace longhaul::data
