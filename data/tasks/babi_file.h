// Files of the bAbI tasks (Weston et al. 2015): numbered lines, 1 begins a story; a fact is a
// sentence, a question is "question TAB answer TAB numbers of the lines that answer it".
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace longhaul::data {

struct BabiQuestion {
  size_t facts = 0;  ///< of the story, that come before it
  std::string text, answer;
  std::vector<size_t> supports;  ///< places in the story's facts, ascending
};

struct BabiStory {
  std::vector<std::string> facts;
  std::vector<BabiQuestion> questions;
};

/// Throws InputError naming file and line, up to ten of them; also where nothing is asked.
std::vector<BabiStory> parse_babi(std::string_view text, const std::string& name);
std::vector<BabiStory> read_babi(const std::filesystem::path& file);

/// 1 for "qa1_single-supporting-fact_train.txt"; 0 if the name does not begin like that.
int babi_task_number(const std::filesystem::path& file);

/// `path` itself, or the files "qaN_*_SPLIT.txt" in the folder `path`, by number. InputError if
/// there is none, or one of a task above `most`.
std::vector<std::filesystem::path> find_babi_files(const std::filesystem::path& path,
                                                   const std::string& split, int most);

}  // namespace longhaul::data
