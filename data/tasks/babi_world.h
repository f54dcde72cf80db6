// A small world of people, places and things that tells stories in the format of the bAbI tasks
// (data/tasks/babi_file.h), so that BABILong runs without anybody's files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace longhaul::data {

/// Tasks that the world can tell: 1 where somebody is, 2 where a thing is, 3 where it was before,
/// 4 which place is on which side of another, 5 who gave what to whom, 6 whether somebody is
/// somewhere.
const std::vector<int>& babi_world_tasks();

/// `stories` stories of five questions each, a function of (task, seed, number of the story). Task
/// 4 has five stories of one question in the place of each.
std::string tell_babi_stories(int task, int64_t stories, uint64_t seed);

/// Writes "qaN_NAME_train.txt" and "qaN_NAME_test.txt" of every task into a folder that appears
/// whole or not at all; the test files hold `test_stories` others. (Of task 4 there are only some
/// 38,000 different ones: a quarter of 1,000 questions is among 10,000 others.) InputError if there
/// is something at `folder`.
void write_babi_world(const std::filesystem::path& folder, int64_t train_stories,
                      int64_t test_stories, uint64_t seed);

}  // namespace longhaul::data
