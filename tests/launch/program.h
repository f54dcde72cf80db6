// The built program, run in a folder of its own.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace longhaul::launch {

/// A run of a moment: associative recall, one small layer.
inline constexpr const char* kRecall =
    "model: {shape: {vocabulary: 0, width: 16, layers: 1, heads: 2, head_dim: 8, state_dim: 8, "
    "chunk: 8}}\n"
    "data: {kind: recall, length: 16, sequences: 4, recall: {keys: 12, values: 4, reach: 3}}\n"
    "schedule: {steps: 3, warmup: 1}\nparallel: {threads: 1}\nrun: {folder: run}\n";

struct Result {
  int exit_code = -1;
  std::string out, err;
};

inline std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Program : public ::testing::Test {
 protected:
  void SetUp() override {
    // tests/launch_tests → bin/longhaul of the same build.
    program_ = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "bin" /
               "longhaul";
    ASSERT_TRUE(std::filesystem::exists(program_)) << program_ << " is not built";
    folder_ = std::filesystem::path(::testing::TempDir()) /
              ("longhaul_program_" + std::to_string(getpid()) +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// `before`: what the program is started by, such as mpirun.
  Result run(const std::string& arguments, const std::string& before = "") const {
    const std::string command = "cd '" + folder_.string() + "' && " + before + " '" +
                                program_.string() + "' " + arguments +
                                " >out.txt 2>err.txt </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text_of(folder_ / "out.txt"),
            text_of(folder_ / "err.txt")};
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
  }
  /// Exit code 2, `lines` lines to stderr with `text` in them, nothing on stdout.
  void expect_refused(const std::string& arguments, const std::string& text, int lines = 1) const {
    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 2) << arguments << "\n" << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), lines) << result.err;
    EXPECT_THAT(result.err, ::testing::StartsWith("longhaul: "));
    EXPECT_THAT(result.err, ::testing::HasSubstr(text));
    EXPECT_EQ(result.out, "") << arguments;
  }

  std::filesystem::path program_, folder_;
};

}  // namespace longhaul::launch
