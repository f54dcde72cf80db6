#include "data/tokenize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>

#include "kernels/core/random.h"
#include "tests/data/compressed.h"
#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::problem_of;
using testing::write_file;

class Tokenize : public ::testing::Test {
 protected:
  TokenizeProgress run(const std::vector<std::string>& inputs) {
    job_.inputs.clear();
    for (const auto& input : inputs) job_.inputs.push_back(scratch_ / input);
    job_.output = scratch_ / "out";
    return tokenize(*tokenizer_, job_);
  }

  std::vector<std::string> documents() const {
    const TokenFolder folder(scratch_ / "out");
    std::vector<std::string> texts;
    for (int64_t i = 0; i < folder.documents(); ++i) {
      const int64_t begin = folder.document_begin(i);
      std::vector<int32_t> tokens(static_cast<size_t>(folder.document_begin(i + 1) - begin));
      folder.read(begin, tokens);
      EXPECT_EQ(tokens.back(), 256);
      std::string text;
      for (const int32_t token : tokens) text += tokenizer_->decode(token);
      texts.push_back(text);
    }
    return texts;
  }

  testing::Scratch scratch_;
  std::unique_ptr<Tokenizer> tokenizer_ = make_tokenizer("byte");
  TokenizeJob job_;
};

std::string record(const std::string& text) { return nlohmann::json{{"text", text}}.dump() + "\n"; }

TEST_F(Tokenize, FileIsADocumentAndLineIsADocument) {
  write_file(scratch_ / "a.txt", "hello\nworld\n");
  write_file(scratch_ / "b.jsonl", record("one") + "\n  \n" + record("two\n2"));
  const auto progress = run({"a.txt", "b.jsonl"});
  EXPECT_THAT(documents(), ElementsAre("hello\nworld\n", "one", "two\n2"));
  EXPECT_EQ(progress.files, 2);
  EXPECT_EQ(progress.files_done, 2);
  EXPECT_EQ(progress.documents, 3);
  EXPECT_EQ(progress.tokens, 12 + 3 + 5 + 3);
  const auto bytes = std::filesystem::file_size(scratch_ / "a.txt") +
                     std::filesystem::file_size(scratch_ / "b.jsonl");
  EXPECT_EQ(progress.bytes, static_cast<int64_t>(bytes));
  EXPECT_EQ(progress.bytes_done, progress.bytes);
  const TokenFolder folder(scratch_ / "out");
  EXPECT_EQ(folder.tokenizer(), "byte");
  EXPECT_EQ(folder.vocabulary(), 257);
  const auto manifest = nlohmann::json::parse(testing::read_file(scratch_ / "out/manifest.json"));
  EXPECT_EQ(manifest.at("sources").size(), 2u);
  EXPECT_EQ(manifest.at("sources")[0], (scratch_ / "a.txt").string());
}

TEST_F(Tokenize, CompressedInputsAreTheSame) {
  const std::string jsonl = record("one") + record("two");
  write_file(scratch_ / "a.jsonl.gz", testing::gzip(jsonl));
  write_file(scratch_ / "b.jsonl.zst", testing::zstd(jsonl));
  write_file(scratch_ / "c.txt.gz", testing::gzip("three"));
  write_file(scratch_ / "d.txt.zst", testing::zstd("four"));
  const auto progress = run({"a.jsonl.gz", "b.jsonl.zst", "c.txt.gz", "d.txt.zst"});
  EXPECT_THAT(documents(), ElementsAre("one", "two", "one", "two", "three", "four"));
  EXPECT_EQ(progress.bytes_done, progress.bytes);
}

TEST_F(Tokenize, RandomBytesComeBack) {
  core::RandomStream random({4, 0, core::RandomPurpose::kTest});
  // Around the size of a block, 1 MiB.
  std::vector<std::string> texts;
  std::vector<std::string> names;
  for (const size_t size : {1u, 4095u, (1u << 20) - 1, 1u << 20, (1u << 20) + 1, (3u << 20) + 5}) {
    std::string text(size, ' ');
    for (size_t i = 0; i < size; i += 1 + i / 100)
      text[i] = static_cast<char>(1 + random.below(255));
    names.push_back("f" + std::to_string(size));
    write_file(scratch_ / names.back(), text);
    texts.push_back(text);
  }
  run(names);
  EXPECT_TRUE(documents() == texts);
}

TEST_F(Tokenize, FolderIsWalkedInSortedOrder) {
  write_file(scratch_ / "in/b.txt", "b");
  write_file(scratch_ / "in/a/z.txt", "a/z");
  write_file(scratch_ / "in/a/b.jsonl", record("a/b"));
  write_file(scratch_ / "in/c/d/e", "c/d/e");
  write_file(scratch_ / "in/a.txt", "a.txt");
  EXPECT_EQ(run({"in"}).files, 5);
  EXPECT_THAT(documents(), ElementsAre("a/b", "a/z", "a.txt", "b", "c/d/e"));
}

TEST_F(Tokenize, FolderLeavesOutHiddenBinaryAndLinked) {
  write_file(scratch_ / "outside/secret.txt", "outside");
  write_file(scratch_ / "in/ok.txt", "ok");
  write_file(scratch_ / "in/.git/config", "hidden folder");
  write_file(scratch_ / "in/.hidden", "hidden file");
  write_file(scratch_ / "in/picture.png", std::string("\x89PNG\0\0", 6));
  write_file(scratch_ / "in/late.txt", std::string(65536, 'x') + std::string(1, '\0'));
  write_file(scratch_ / "in/model.bin.gz", testing::gzip(std::string(100, '\0')));
  std::filesystem::create_symlink(scratch_ / "outside/secret.txt", scratch_ / "in/link.txt");
  std::filesystem::create_directory_symlink(scratch_ / "outside", scratch_ / "in/linked");
  std::filesystem::create_directory_symlink(scratch_ / "in", scratch_ / "in/loop");
  const auto progress = run({"in"});
  EXPECT_EQ(progress.binary_files, 2);
  EXPECT_THAT(documents(), ElementsAre(std::string(65536, 'x') + std::string(1, '\0'), "ok"));
}

TEST_F(Tokenize, NamedFilesAreTakenThoughHiddenOrLinked) {
  write_file(scratch_ / ".hidden.txt", "named");
  std::filesystem::create_symlink(scratch_ / ".hidden.txt", scratch_ / "link.txt");
  run({".hidden.txt", "link.txt"});
  EXPECT_THAT(documents(), ElementsAre("named", "named"));
}

TEST_F(Tokenize, NamedFilesThatAreNoTextAreRefused) {
  const std::string gzip = testing::gzip("text"), zstd = testing::zstd("text");
  const std::string zeros(5, '\0');
  const std::vector<std::array<std::string, 3>> files = {
      {"a.txt", gzip, "gzip data"},
      {"b.jsonl", gzip, "gzip data"},
      {"c.txt", zstd, "zstd data"},
      {"d.txt.gz", testing::gzip(gzip), "gzip data"},
      {"e.txt.xz",
       std::string("\xfd"
                   "7zXZ\0",
                   6),
       "xz data"},
      {"f.txt.bz2", "BZh91AY&SYrest", "bzip2 data"},
      {"g.parquet", "PAR1" + zeros, "a Parquet file"},
      {"h.zip", "PK\x03\x04rest", "a ZIP archive"},
      {"i.pdf", "%PDF-1.7", "a PDF"},
      {"j.txt", "\xff\xfe" + std::string("a\0", 2), "UTF-16 text"},
      {"k.bin", std::string(65535, 'x') + zeros, "binary, with NUL bytes"},
      {"l.jsonl.gz", testing::gzip(zeros), "binary, with NUL bytes"},
  };
  write_file(scratch_ / "good.txt", "good");
  std::vector<std::string> names{"good.txt"};
  for (const auto& [name, content, what] : files) {
    write_file(scratch_ / name, content);
    EXPECT_THAT(problem_of([&, named = name] {
                  run({"good.txt", named});
                }),
                HasSubstr(name + ": is " + what + ", expected text in UTF-8 or records of JSON"));
    names.push_back(name);
  }
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "out"));
  // All at once, and left out where a folder is named.
  EXPECT_THAT(problem_of([&] { run(names); }), AllOf(HasSubstr("a.txt: "), HasSubstr("l.jsonl")));
  EXPECT_EQ(run({""}).binary_files, std::ssize(files));
  EXPECT_THAT(documents(), ElementsAre("good"));
  job_.any_bytes = true;
  run({"a.txt", "k.bin"});
  EXPECT_THAT(documents(), ElementsAre(gzip, std::string(65535, 'x') + zeros));
  job_.any_bytes = false;
  write_file(scratch_ / "word", "BZh is a word, and so is PK");
  run({"word"});
  EXPECT_THAT(documents(), ElementsAre("BZh is a word, and so is PK"));
}

TEST_F(Tokenize, RecordsAreKnownByNameInAnyCase) {
  write_file(scratch_ / "a.ndjson", record("a1") + record("a2"));
  write_file(scratch_ / "b.JSONL", record("b"));
  write_file(scratch_ / "c.NDJSON.GZ", testing::gzip(record("c")));
  EXPECT_EQ(run({"a.ndjson", "b.JSONL", "c.NDJSON.GZ"}).json_documents.count, 0);
  EXPECT_THAT(documents(), ElementsAre("a1", "a2", "b", "c"));
}

TEST_F(Tokenize, JsonThatIsReadAsTextIsTold) {
  write_file(scratch_ / "a.json", " [1, 2]");
  write_file(scratch_ / "b.JSON", "{\"text\": \"a\"}");
  write_file(scratch_ / "c.json", "words");
  write_file(scratch_ / "d.txt", "{\"text\": \"a\"}");
  const auto progress = run({"a.json", "b.JSON", "c.json", "d.txt"});
  EXPECT_EQ(progress.json_documents.count, 2);
  EXPECT_EQ(progress.json_documents.first, (scratch_ / "a.json").string());
  EXPECT_EQ(progress.documents, 4);
}

TEST_F(Tokenize, RecordsThatAreNoUtf8AreMendedAndTold) {
  write_file(scratch_ / "a.jsonl",
             record("good") + R"({"text": "a\ud800b\\udc00"})" + "\n" + "{\"text\": \"a\xff\"}\n");
  job_.threads = 2;
  const auto progress = run({"a.jsonl"});
  EXPECT_THAT(documents(), ElementsAre("good", "a\uFFFDb\\udc00", "a\uFFFD"));
  EXPECT_EQ(progress.mended_records.count, 2);
  EXPECT_EQ(progress.mended_records.first, (scratch_ / "a.jsonl").string() + ":2");
}

TEST_F(Tokenize, BadRecordsAreSkippedWhereAskedFor) {
  const std::string records = record("one") + "{\"text\": 3}\nnonsense\n" + record("two");
  write_file(scratch_ / "a.jsonl", records);
  EXPECT_THAT(problem_of([&] { run({"a.jsonl"}); }), HasSubstr("a.jsonl:2: \"text\" is not a"));
  job_.skip_bad_records = true;
  const auto progress = run({"a.jsonl", "a.jsonl"});
  EXPECT_EQ(progress.bad_records.count, 4);
  EXPECT_EQ(progress.bad_records.first,
            (scratch_ / "a.jsonl").string() + ":2: \"text\" is not a string, expected one");
  EXPECT_THAT(documents(), ElementsAre("one", "two", "one", "two"));
  write_file(scratch_ / "b.jsonl", "nonsense\n");
  EXPECT_THAT(problem_of([&] { run({"b.jsonl"}); }),
              AllOf(HasSubstr("1 file: 1 bad record left out, the first: "),
                    HasSubstr("b.jsonl:1: is not JSON")));
}

TEST_F(Tokenize, ExtensionsChooseFromFolders) {
  for (const std::string name : {"a.txt", "b.md", "c.jsonl", "d.jsonl.gz", "txt"})
    write_file(scratch_ / ("in/" + name), name.ends_with("gz")      ? testing::gzip(record("gz"))
                                          : name.ends_with("jsonl") ? record("jsonl")
                                                                    : name);
  job_.extensions = {".txt", "jsonl.gz"};
  run({"in", "in/b.md"});
  EXPECT_THAT(documents(), ElementsAre("a.txt", "gz", "b.md"));
}

TEST_F(Tokenize, OwnOutputInsideTheInputIsLeftOut) {
  write_file(scratch_ / "a.txt", "text");
  for (int round = 0; round < 3; ++round) {
    run({""});
    EXPECT_THAT(documents(), ElementsAre("text"));
  }
}

TEST_F(Tokenize, ShortDocumentsAreSkippedAndCounted) {
  write_file(scratch_ / "a.jsonl", record("") + record("12345") + record("1234"));
  write_file(scratch_ / "b.txt", "");
  write_file(scratch_ / "c.txt", "123456");
  EXPECT_EQ(run({"a.jsonl", "b.txt", "c.txt"}).short_documents, 2);
  EXPECT_THAT(documents(), ElementsAre("12345", "1234", "123456"));
  job_.minimum_bytes = 5;
  EXPECT_EQ(run({"a.jsonl", "b.txt", "c.txt"}).short_documents, 3);
  EXPECT_THAT(documents(), ElementsAre("12345", "123456"));
}

TEST_F(Tokenize, MinimumMayBeLargerThanABlock) {
  const std::string just((2 << 20) + 7, 'x'), below = just.substr(1);
  write_file(scratch_ / "a", just);
  write_file(scratch_ / "b", below);
  job_.minimum_bytes = std::ssize(just);
  EXPECT_EQ(run({"b", "a", "b"}).short_documents, 2);
  EXPECT_TRUE(documents() == std::vector{just});
}

TEST_F(Tokenize, OtherTextKey) {
  write_file(scratch_ / "a.jsonl", "{\"content\": \"c\", \"text\": 5}\n");
  job_.text_key = "content";
  run({"a.jsonl"});
  EXPECT_THAT(documents(), ElementsAre("c"));
}

TEST_F(Tokenize, RecordsAsThePileHasThem) {
  const std::string records =
      R"({"text": "one", "meta": {"pile_set_name": "Github", "text": "not this"}})"
      "\n"
      R"({"meta": {"pile_set_name": "ArXiv"}, "text": "two"})"
      "\n";
  write_file(scratch_ / "00.jsonl.zst", testing::zstd(records));
  run({"00.jsonl.zst"});
  EXPECT_THAT(documents(), ElementsAre("one", "two"));
}

TEST_F(Tokenize, ThreadsChangeNothing) {
  core::RandomStream random({5, 0, core::RandomPurpose::kTest});
  std::string records;
  for (int i = 0; i < 3000; ++i) records += record(std::string(random.below(900), 'a' + i % 26));
  write_file(scratch_ / "a.jsonl", records);
  write_file(scratch_ / "b.txt", std::string(1 << 20, 'b'));
  run({"a.jsonl", "b.txt", "a.jsonl"});
  const auto tokens = testing::read_file(scratch_ / "out/tokens.bin");
  const auto borders = testing::read_file(scratch_ / "out/documents.bin");
  for (const int threads : {2, 7}) {
    job_.threads = threads;
    run({"a.jsonl", "b.txt", "a.jsonl"});
    EXPECT_TRUE(testing::read_file(scratch_ / "out/tokens.bin") == tokens) << threads;
    EXPECT_TRUE(testing::read_file(scratch_ / "out/documents.bin") == borders) << threads;
  }
}

TEST_F(Tokenize, FirstOfSeveralErrorsIsTold) {
  std::string records;
  for (int i = 0; i < 2000; ++i) records += record(std::string(500, 'a'));
  write_file(scratch_ / "a.jsonl", records + "{}\n" + records + "[]\n");
  job_.threads = 4;
  EXPECT_THAT(problem_of([&] { run({"a.jsonl"}); }), HasSubstr("a.jsonl:2001: "));
}

TEST_F(Tokenize, ReportsProgressAndTheEnd) {
  write_file(scratch_ / "a.txt", "hello");
  std::vector<TokenizeProgress> reports;
  job_.report = [&](const TokenizeProgress& progress) { reports.push_back(progress); };
  run({"a.txt"});
  ASSERT_FALSE(reports.empty());
  EXPECT_EQ(reports.back().tokens, 6);
  EXPECT_EQ(reports.back().documents, 1);
  EXPECT_EQ(reports.back().bytes_done, 5);
  EXPECT_EQ(reports.back().files_done, 1);
}

TEST_F(Tokenize, ErrorsNameFileAndLineAndLeaveNothing) {
  write_file(scratch_ / "good.txt", "good");
  const auto problem = [&](const std::string& name, const std::string& content) {
    write_file(scratch_ / name, content);
    return problem_of([&] { run({"good.txt", name}); });
  };
  const auto place = [&](const std::string& name, int line) {
    return HasSubstr((scratch_ / name).string() + ":" + std::to_string(line) + ": ");
  };
  EXPECT_THAT(problem("a.jsonl", record("x") + "\n{\"text\": 3}\n"), place("a.jsonl", 3));
  EXPECT_THAT(problem("a.jsonl", record("x") + "{\"other\": \"\"}"), place("a.jsonl", 2));
  EXPECT_THAT(problem("a.jsonl", record("x") + "{\"text\": \"cut of"),
              AllOf(place("a.jsonl", 2), HasSubstr("not JSON")));
  EXPECT_THAT(problem("b.jsonl.gz", testing::gzip("\n\n[]\n")), place("b.jsonl.gz", 3));
  const std::string zst = testing::zstd(record("x"));
  EXPECT_THAT(problem("c.jsonl.zst", zst.substr(0, zst.size() - 3)),
              AllOf(HasSubstr("c.jsonl.zst: "), HasSubstr("truncated")));
  EXPECT_THAT(problem("d.txt.gz", "not gzip"), HasSubstr("d.txt.gz: gzip data is damaged"));
  for (const auto& name : testing::names_in(scratch_.path()))
    EXPECT_THAT(name, AllOf(Not(HasSubstr("partial")), Not("out")));
}

TEST_F(Tokenize, AllMissingInputsAreNamedAtOnce) {
  write_file(scratch_ / "a.txt", "a");
  EXPECT_THAT(problem_of([&] {
                run({"none1", "a.txt", "none2"});
              }),
              AllOf(HasSubstr("none1: No such file"), HasSubstr("none2: No such file")));
}

TEST_F(Tokenize, NothingToTokenizeIsAnError) {
  write_file(scratch_ / "in/empty.txt", "");
  EXPECT_THAT(problem_of([&] { run({"in"}); }),
              HasSubstr("no document in 1 file: 1 document without text left out; expected"));
  EXPECT_THAT(problem_of([&] { run({}); }), HasSubstr("no document in 0 files; expected"));
  write_file(scratch_ / "in/b.jsonl", record("some") + record("thing"));
  write_file(scratch_ / "in/c", std::string("\0", 1));
  job_.minimum_bytes = 9;
  EXPECT_THAT(problem_of([&] { run({"in"}); }),
              HasSubstr("3 files: 3 documents of less than 9 bytes (--minimum-bytes) left out, 1 "
                        "binary file left out"));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "out"));
}

TEST_F(Tokenize, TokenFoldersAreNoText) {
  testing::write_numbered(scratch_ / "in/tokens", {3});
  write_file(scratch_ / "in/a.txt", "a");
  EXPECT_THAT(problem_of([&] { run({"in/tokens"}); }),
              HasSubstr("in/tokens: is a token folder, expected text"));
  EXPECT_THAT(problem_of([&] { run({"in"}); }), HasSubstr("in/tokens: is a token folder"));
}

TEST_F(Tokenize, AFailedRunKeepsTheOldOutput) {
  write_file(scratch_ / "a.txt", "a");
  write_file(scratch_ / "bad.jsonl", "x");
  run({"a.txt"});
  problem_of([&] { run({"a.txt", "bad.jsonl"}); });
  EXPECT_THAT(documents(), ElementsAre("a"));
}

}  // namespace
}  // namespace longhaul::data
