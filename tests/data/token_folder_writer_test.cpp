#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <functional>

#include "data/file_io.h"
#include "data/token_folder.h"
#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::names_in;
using testing::problem_of;
using testing::Scratch;

const TokenFolderWriter::Description kBytes{
    .tokenizer = "byte", .vocabulary = 257, .end_of_document = 256};

/// Wait status of a process that runs `body` and then exits with 0.
int in_child(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(TokenFolderWriter, LeavesNothingBesideTheFolder) {
  Scratch scratch;
  testing::write_numbered(scratch / "out", {3});
  EXPECT_THAT(names_in(scratch.path()), ElementsAre("out"));
  EXPECT_THAT(names_in(scratch / "out"),
              ElementsAre("documents.bin", "manifest.json", "tokens.bin"));
}

TEST(TokenFolderWriter, ShowsNothingBeforeItIsFinished) {
  Scratch scratch;
  {
    TokenFolderWriter writer(scratch / "out", kBytes);
    writer.add_document(std::vector<int32_t>(100000, 1));
    EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
    EXPECT_EQ(names_in(scratch.path()).size(), 1u);
  }
  EXPECT_THAT(names_in(scratch.path()), IsEmpty());
}

TEST(TokenFolderWriter, ReplacesATokenFolder) {
  Scratch scratch;
  testing::write_numbered(scratch / "out", {3});
  {
    TokenFolderWriter writer(scratch / "out/", kBytes);  // a slash at the end changes nothing
    writer.add_document(std::vector<int32_t>(10, 1));
    EXPECT_EQ(TokenFolder(scratch / "out").tokens(), 4);  // the old one until the end
    writer.finish();
  }
  EXPECT_EQ(TokenFolder(scratch / "out").tokens(), 11);
  EXPECT_THAT(names_in(scratch.path()), ElementsAre("out"));
}

TEST(TokenFolderWriter, KeepsTheOldFolderIfNotFinished) {
  Scratch scratch;
  testing::write_numbered(scratch / "out", {3});
  { TokenFolderWriter writer(scratch / "out", kBytes); }
  EXPECT_EQ(TokenFolder(scratch / "out").tokens(), 4);
  EXPECT_THAT(names_in(scratch.path()), ElementsAre("out"));
}

TEST(TokenFolderWriter, MakesTheFoldersAbove) {
  Scratch scratch;
  testing::write_numbered(scratch / "a/b/out", {3});
  EXPECT_EQ(TokenFolder(scratch / "a/b/out").tokens(), 4);
}

TEST(TokenFolderWriter, RefusesEverythingElse) {
  Scratch scratch;
  testing::write_file(scratch / "file", "x");
  testing::write_file(scratch / "thesis/chapter1.tex", "x");
  testing::write_numbered(scratch / "extra", {3});
  testing::write_file(scratch / "extra/notes.txt", "x");
  testing::write_numbered(scratch / "foreign", {3});
  testing::write_file(scratch / "foreign/manifest.json", "{}");
  testing::write_numbered(scratch / "good", {3});
  std::filesystem::create_directory(scratch / "empty");
  std::filesystem::create_directory_symlink(scratch / "good", scratch / "link");
  const auto before = names_in(scratch.path());
  const auto problem = [&](const std::string& name) {
    return problem_of([&] { TokenFolderWriter writer(scratch / name, kBytes); });
  };
  EXPECT_THAT(problem("file"), AllOf(HasSubstr((scratch / "file").string()), HasSubstr("exists")));
  EXPECT_THAT(problem("thesis"), HasSubstr("it holds chapter1.tex"));
  EXPECT_THAT(problem("extra"), HasSubstr("it holds notes.txt"));
  EXPECT_THAT(problem("foreign"), HasSubstr("format"));
  EXPECT_THAT(problem("empty"), HasSubstr("not a token folder"));
  EXPECT_THAT(problem("link"), HasSubstr("symbolic link"));
  EXPECT_THAT(problem("file/out"), HasSubstr("cannot be created"));
  EXPECT_EQ(names_in(scratch.path()), before);
  EXPECT_THAT(problem_of([] { TokenFolderWriter writer("", kBytes); }), HasSubstr("output folder"));
  EXPECT_THAT(problem_of([] { TokenFolderWriter writer("/", kBytes); }),
              HasSubstr("output folder"));
}

TEST(TokenFolderWriter, RefusesWhatAppearedInTheMeantime) {
  Scratch scratch;
  TokenFolderWriter writer(scratch / "out", kBytes);
  writer.add_document(std::vector<int32_t>(10, 1));
  testing::write_file(scratch / "out/thesis.tex", "x");
  EXPECT_THAT(problem_of([&] { writer.finish(); }), HasSubstr("thesis.tex"));
  EXPECT_THAT(names_in(scratch / "out"), ElementsAre("thesis.tex"));
}

TEST(TokenFolderWriter, AKilledRunLeavesAHiddenFolderThatTheNextRemoves) {
  Scratch scratch;
  testing::write_numbered(scratch / "other", {2});
  const int status = in_child([&] {
    TokenFolderWriter writer(scratch / "out", kBytes);
    writer.add_document(std::vector<int32_t>(2000000, 1));
    ::raise(SIGKILL);
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  auto names = names_in(scratch.path());
  ASSERT_EQ(names.size(), 2u);
  EXPECT_TRUE(names[0].starts_with(".out.partial-")) << names[0];
  testing::write_file(scratch / ".out.partial-note", "not a process number: stays");
  testing::write_numbered(scratch / "out", {5});
  EXPECT_THAT(names_in(scratch.path()), ElementsAre(".out.partial-note", "other", "out"));
  EXPECT_EQ(TokenFolder(scratch / "out").tokens(), 6);
}

TEST(TokenFolderWriter, RefusesWhatAnotherRunIsWriting) {
  Scratch scratch;
  TokenFolderWriter first(scratch / "out", kBytes);
  EXPECT_THAT(problem_of([&] { TokenFolderWriter second(scratch / "out", kBytes); }),
              AllOf(HasSubstr("another run is writing"), HasSubstr(".out.partial-")));
  first.add_document(std::vector<int32_t>{1});
  first.finish();
  EXPECT_EQ(TokenFolder(scratch / "out").tokens(), 2);
}

TEST(TokenFolderWriter, AFullDiskIsAnErrorThatNamesThePath) {
  Scratch scratch;
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 20, 1 << 20};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      TokenFolderWriter writer(scratch / "out", kBytes);
      writer.add_document(std::vector<int32_t>(4000000, 1));
      writer.finish();
    } catch (const core::InputError&) {
      ::_exit(1);
    } catch (const core::Error& error) {
      const std::string what = error.what();
      ::_exit(what.find("tokens.bin: cannot write: File too large") != what.npos ? 42 : 2);
    }
    ::_exit(3);
  });
  EXPECT_EQ(WEXITSTATUS(status), 42);
  EXPECT_THAT(names_in(scratch.path()), IsEmpty());
}

TEST(OutputFile, NamesThePathWhenTheDeviceIsFull) {
  OutputFile file("/dev/full");
  file.write(std::as_bytes(std::span("x", 1)));
  try {
    file.finish();
    FAIL() << "no error";
  } catch (const core::Error& error) {
    EXPECT_STREQ(error.what(), "/dev/full: cannot write: No space left on device");
  }
}

TEST(OutputFile, ChecksumIsOfEverythingWritten) {
  Scratch scratch;
  OutputFile file(scratch / "f");
  std::string content;
  for (int i = 0; i < 300000; ++i) content += std::to_string(i);
  const auto bytes = std::as_bytes(std::span(content));
  file.write(bytes.first(7));
  file.write(bytes.subspan(7));
  file.finish();
  EXPECT_EQ(testing::read_file(scratch / "f"), content);
  EXPECT_EQ(file.crc32(), crc32(core::RandomAccessFile(scratch / "f")));
  OutputFile check(scratch / "check");
  check.write(std::as_bytes(std::span("123456789", 9)));
  check.finish();
  EXPECT_EQ(check.crc32(), 0xCBF43926u);  // the standard's check value
}

}  // namespace
}  // namespace longhaul::data
