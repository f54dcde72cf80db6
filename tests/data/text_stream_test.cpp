#include "data/text_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/core/random.h"
#include "tests/data/compressed.h"
#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::problem_of;
using testing::Scratch;
using testing::write_file;

std::string read_stream(const std::filesystem::path& file, size_t block = 1000) {
  const auto stream = open_text(file);
  std::string all, piece(block, '\0');
  for (size_t got = block; got == block;) {
    got = stream->read(piece);
    all.append(piece, 0, got);
  }
  EXPECT_EQ(stream->read(piece), 0u) << "nothing after the end";
  EXPECT_EQ(stream->stored_bytes(), static_cast<int64_t>(std::filesystem::file_size(file)));
  return all;
}

/// Half of it compresses, half does not.
std::string sample_text(int64_t size) {
  core::RandomStream random({3, 0, core::RandomPurpose::kTest});
  std::string text;
  while (std::ssize(text) < size)
    text += random.below(2) ? std::string(50, 'a') : std::to_string(random.below(1u << 30));
  text.resize(static_cast<size_t>(size));
  return text;
}

struct Format {
  std::string ending;
  std::string (*compress)(const std::string&);
};
void PrintTo(const Format& format, std::ostream* out) { *out << format.ending; }

class CompressedText : public ::testing::TestWithParam<Format> {
 protected:
  std::filesystem::path file() const { return scratch_ / ("text." + GetParam().ending); }
  std::string compress(const std::string& text) const { return GetParam().compress(text); }
  Scratch scratch_;
};

TEST_P(CompressedText, IsReadInBlocksOfAnySize) {
  for (const int64_t size : {0, 1, 999, 1000, 1001, 300000, 1500000}) {
    const std::string text = sample_text(size);
    write_file(file(), compress(text));
    EXPECT_TRUE(read_stream(file()) == text) << size;
    EXPECT_TRUE(read_stream(file(), 1 << 20) == text) << size;
  }
}

TEST_P(CompressedText, ConcatenatedPartsAreOneText) {
  const std::string a = sample_text(5000), b = sample_text(100);
  write_file(file(), compress(a) + compress("") + compress(b));
  EXPECT_EQ(read_stream(file()), a + b);
  EXPECT_EQ(read_stream(file(), 5000), a + b);  // a block ends where a part does
}

TEST_P(CompressedText, EveryTruncationIsAnError) {
  const std::string whole = compress(sample_text(3000));
  for (size_t size = 0; size < whole.size(); ++size) {
    write_file(file(), whole.substr(0, size));
    ASSERT_THAT(problem_of([&] { read_stream(file()); }),
                AllOf(HasSubstr(file().string()), HasSubstr("truncated")))
        << size << " of " << whole.size();
  }
}

TEST_P(CompressedText, DamageIsAnErrorThatNamesTheFile) {
  const std::string whole = compress(sample_text(300000));
  std::string header = whole, middle = whole;
  header[1] = static_cast<char>(header[1] ^ 0xff);
  for (size_t i = 0; i < 64; ++i)
    middle[whole.size() / 2 + i] = static_cast<char>(middle[whole.size() / 2 + i] ^ 0x5a);
  for (const std::string& bad : {header, middle, whole + "garbage", std::string("plain text")}) {
    write_file(file(), bad);
    EXPECT_THAT(problem_of([&] { read_stream(file()); }),
                AllOf(HasSubstr(file().string()), HasSubstr("data is ")));
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, CompressedText,
                         ::testing::Values(Format{"gz", testing::gzip},
                                           Format{"zst", testing::zstd}),
                         [](const auto& info) { return info.param.ending; });

TEST(CompressedText, GzipChecksumIsHeld) {
  Scratch scratch;
  std::string bad = testing::gzip("hello");
  bad[bad.size() - 6] = static_cast<char>(bad[bad.size() - 6] ^ 1);
  write_file(scratch / "t.gz", bad);
  EXPECT_THAT(problem_of([&] { read_stream(scratch / "t.gz"); }), HasSubstr("data check"));
}

TEST(PlainText, IsReadAsItIs) {
  Scratch scratch;
  const std::string text = sample_text(12345) + std::string(3, '\0');
  write_file(scratch / "t.txt", text);
  EXPECT_EQ(read_stream(scratch / "t.txt"), text);
  write_file(scratch / "empty", "");
  EXPECT_EQ(read_stream(scratch / "empty"), "");
  EXPECT_THAT(problem_of([&] { open_text(scratch / "none"); }), HasSubstr("none: No such file"));
}

TEST(UncompressedName, DropsOneEnding) {
  EXPECT_EQ(uncompressed_name("a/b.jsonl.gz"), "b.jsonl");
  EXPECT_EQ(uncompressed_name("a/b.jsonl.zst"), "b.jsonl");
  EXPECT_EQ(uncompressed_name("a/b.txt"), "b.txt");
  EXPECT_EQ(uncompressed_name("a/B.TXT.GZ"), "B.TXT");
}

}  // namespace
}  // namespace longhaul::data
