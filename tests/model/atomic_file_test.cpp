#include "model/checkpoint/atomic_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "model/checkpoint/folder_replacement.h"
#include "tests/model/full_disk.h"
#include "tests/model/scratch_folder.h"

namespace longhaul::model {
namespace {

using testing::content_of;
using ::testing::ElementsAre;
using testing::error_of;
using testing::FullDisk;
using ::testing::HasSubstr;
using testing::input_error_of;
using testing::names_in;
using testing::put_content;
using testing::ScratchFolder;

TEST(AtomicFile, ReplacesTheWholeContent) {
  const ScratchFolder scratch;
  write_file_atomically(scratch / "file", std::string("a\0b", 3));
  EXPECT_EQ(content_of(scratch / "file"), std::string("a\0b", 3));
  write_file_atomically(scratch / "file", "");
  EXPECT_EQ(content_of(scratch / "file"), "");
  EXPECT_THAT(names_in(scratch.path()), ElementsAre("file"));
}

TEST(AtomicFile, FailureKeepsTheOldContentAndLeavesNothing) {
  const ScratchFolder scratch;
  put_content(scratch / "file", "before");
  const FullDisk disk(1 << 16);
  const std::string told =
      error_of([&] { write_file_atomically(scratch / "file", std::string(1 << 20, 'x')); });
  EXPECT_THAT(told, ::testing::AllOf(HasSubstr((scratch / "file").string()),
                                     HasSubstr("cannot be written: File too large")));
  EXPECT_EQ(content_of(scratch / "file"), "before");
  EXPECT_THAT(names_in(scratch.path()), ElementsAre("file"));
}

TEST(AtomicFile, IsNotThereBeforeCommitNorWithoutIt) {
  const ScratchFolder scratch;
  {
    AtomicFile file(scratch / "file");
    file.write("abc", 3);
    EXPECT_FALSE(std::filesystem::exists(scratch / "file"));
  }
  EXPECT_TRUE(names_in(scratch.path()).empty());
}

TEST(AtomicFile, WritersOfOnePathDoNotMix) {
  const ScratchFolder scratch;
  AtomicFile first(scratch / "file"), second(scratch / "file");
  first.write("first", 5);
  second.write("second", 6);
  second.commit();
  EXPECT_EQ(content_of(scratch / "file"), "second");
  first.commit();
  EXPECT_EQ(content_of(scratch / "file"), "first");
}

TEST(AtomicFile, RemovesWhatKilledProcessesLeftOfIt) {
  const ScratchFolder scratch;
  const pid_t child = ::fork();
  if (child == 0) {
    AtomicFile killed(scratch / "file");
    killed.write("half", 4);
    ::raise(SIGKILL);
  }
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ASSERT_EQ(names_in(scratch.path()).size(), 1u);
  const std::vector<std::string> kept{"..file.2147483646-0.partial",
                                      ".file.1-0.partial",
                                      ".file.2147483646-.partial",
                                      ".file.2147483646.partial",
                                      ".file.partial",
                                      ".file2.2147483646-0.partial",
                                      ".file.2147483646-0.partial2",
                                      ".file.x2147483646-0.partial"};
  for (const std::string& name : kept) put_content(scratch / name, "no such file, or of a process");
  write_file_atomically(scratch / "other", "");
  EXPECT_EQ(names_in(scratch.path()).size(), kept.size() + 2);
  write_file_atomically(scratch / "file", "", WrittenTo::kNewFolder);
  EXPECT_EQ(names_in(scratch.path()).size(), kept.size() + 3);
  write_file_atomically(scratch / "file", "");
  EXPECT_EQ(names_in(scratch.path()).size(), kept.size() + 2);
  EXPECT_FALSE(std::filesystem::exists(scratch / core::message(".file.", child, "-0.partial")));
  for (const std::string& name : kept) EXPECT_TRUE(std::filesystem::exists(scratch / name)) << name;
}

TEST(AtomicFile, LeavesWhatAnotherHostWrites) {
  const ScratchFolder scratch;
  const auto theirs = scratch / ".file.2147483646-0.partial";  // no number of a process here
  const core::FileDescriptor file(::open(theirs.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  ASSERT_EQ(::flock(file.get(), LOCK_EX), 0);
  write_file_atomically(scratch / "file", "");
  EXPECT_TRUE(std::filesystem::exists(theirs));
}

TEST(AtomicFile, HoldsItsLockWhileItWrites) {
  const ScratchFolder scratch;
  const AtomicFile file(scratch / "file");
  const auto names = names_in(scratch.path());
  ASSERT_EQ(names.size(), 1u);
  const core::FileDescriptor other(
      ::open((scratch / *names.begin()).c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(::flock(other.get(), LOCK_EX | LOCK_NB), -1);
}

TEST(AtomicFile, NamesWhatCannotBeWritten) {
  const ScratchFolder scratch;
  EXPECT_THAT(error_of([&] { write_file_atomically(scratch / "absent" / "file", "x"); }),
              HasSubstr("absent/file: cannot be created: No such file or directory"));
  std::filesystem::create_directory(scratch / "folder");
  EXPECT_THAT(error_of([&] { write_file_atomically(scratch / "folder", "x"); }),
              HasSubstr("folder: cannot be replaced"));
  EXPECT_THAT(names_in(scratch.path()), ElementsAre("folder"));
}

class Replacement : public ::testing::Test {
 protected:
  void replace(const std::filesystem::path& target, const std::string& content) const {
    FolderReplacement replacement(target, [](const std::string& name) { return name == "ours"; });
    put_content(replacement.path() / "ours", content);
    replacement.commit();
  }

  ScratchFolder scratch_;
};

TEST_F(Replacement, CreatesThenReplacesKeepingOtherFiles) {
  const auto target = scratch_ / "parent" / "model";
  replace(target, "1");
  put_content(target / "tokenizer.json", "user's");
  std::filesystem::create_symlink("../elsewhere", target / "link");
  replace(target, "2");
  EXPECT_EQ(content_of(target / "ours"), "2");
  EXPECT_EQ(content_of(target / "tokenizer.json"), "user's");
  EXPECT_EQ(std::filesystem::read_symlink(target / "link"), "../elsewhere");
  EXPECT_THAT(names_in(target), ElementsAre("link", "ours", "tokenizer.json"));
  EXPECT_THAT(names_in(scratch_ / "parent"), ElementsAre("model"));
}

TEST_F(Replacement, WithoutCommitNothingHappens) {
  const auto target = scratch_ / "model";
  replace(target, "1");
  {
    FolderReplacement replacement(target, [](const std::string&) { return true; });
    put_content(replacement.path() / "ours", "2");
    EXPECT_EQ(content_of(target / "ours"), "1");
  }
  EXPECT_EQ(content_of(target / "ours"), "1");
  EXPECT_THAT(names_in(scratch_.path()), ElementsAre("model"));
}

TEST_F(Replacement, CleansUpAfterAnInterruptedOne) {
  const auto target = scratch_ / "model";
  replace(target, "1");
  std::filesystem::create_directories(scratch_ / ".model.longhaul-partial" / "sub");
  put_content(scratch_ / ".model.longhaul-partial" / "half", "half");
  replace(target, "2");
  EXPECT_THAT(names_in(target), ElementsAre("ours"));
  EXPECT_THAT(names_in(scratch_.path()), ElementsAre("model"));
}

TEST_F(Replacement, MendsAnInterruptionBetweenTheTwoRenames) {
  const auto target = scratch_ / "model";
  replace(target, "1");
  put_content(target / "tokenizer.json", "user's");
  std::filesystem::rename(target, scratch_ / ".model.longhaul-retired");
  replace(target, "2");
  EXPECT_EQ(content_of(target / "ours"), "2");
  EXPECT_EQ(content_of(target / "tokenizer.json"), "user's");
  EXPECT_THAT(names_in(scratch_.path()), ElementsAre("model"));
}

TEST_F(Replacement, ReplacesWhatALinkPointsTo) {
  replace(scratch_ / "model", "1");
  std::filesystem::create_symlink("model", scratch_ / "latest");
  replace(scratch_ / "latest", "2");
  EXPECT_TRUE(std::filesystem::is_symlink(scratch_ / "latest"));
  EXPECT_EQ(content_of(scratch_ / "model" / "ours"), "2");
}

TEST_F(Replacement, TakesATrailingSlash) {
  replace((scratch_ / "model").string() + "/", "1");
  replace((scratch_ / "model").string() + "/", "2");
  EXPECT_EQ(content_of(scratch_ / "model" / "ours"), "2");
  EXPECT_THAT(names_in(scratch_.path()), ElementsAre("model"));
}

TEST_F(Replacement, RefusesWhatItCannotTakeOver) {
  put_content(scratch_ / "file", "user's");
  EXPECT_THAT(input_error_of([&] { replace(scratch_ / "file", "1"); }),
              HasSubstr("file: exists and is no folder"));
  EXPECT_EQ(content_of(scratch_ / "file"), "user's");
  const auto target = scratch_ / "model";
  std::filesystem::create_directories(target / "original");
  put_content(target / "pytorch_model.bin", "weights");
  EXPECT_THAT(input_error_of([&] { replace(target, "1"); }),
              ::testing::AllOf(HasSubstr("holds original"), HasSubstr("holds pytorch_model.bin")));
  EXPECT_THAT(names_in(target), ElementsAre("original", "pytorch_model.bin"));
  EXPECT_THAT(names_in(scratch_.path()), ElementsAre("file", "model"));
}

}  // namespace
}  // namespace longhaul::model
