#include "data/jsonl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Scratch;
using testing::write_file;

std::vector<std::string> lines_of(const std::string& content,
                                  int64_t most_bytes = LineReader::kMostBytes) {
  Scratch scratch;
  write_file(scratch / "f", content);
  const auto stream = open_text(scratch / "f");
  LineReader reader(*stream, "f", most_bytes);
  std::vector<std::string> lines;
  for (std::string_view line; reader.next(line);) {
    lines.emplace_back(line);
    EXPECT_EQ(reader.number(), std::ssize(lines));
  }
  return lines;
}

TEST(LineReader, SplitsLines) {
  EXPECT_THAT(lines_of(""), IsEmpty());
  EXPECT_THAT(lines_of("\n"), ElementsAre(""));
  EXPECT_THAT(lines_of("a"), ElementsAre("a"));
  EXPECT_THAT(lines_of("a\n"), ElementsAre("a"));
  EXPECT_THAT(lines_of("a\n\nbc\r\nd"), ElementsAre("a", "", "bc\r", "d"));
}

TEST(LineReader, HoldsLinesOfAnyLength) {
  std::vector<std::string> lines;
  std::string content;
  for (const size_t size : {0, 65535, 65536, 65537, 1, 300000, 7, 1000000, 0, 131072, 131071}) {
    lines.emplace_back(size, static_cast<char>('a' + lines.size()));
    content += lines.back() + "\n";
  }
  EXPECT_TRUE(lines_of(content) == lines);
}

TEST(LineReader, RefusesLinesThatAreTooLong) {
  EXPECT_THAT(lines_of("1234\n1234", 4), ElementsAre("1234", "1234"));
  for (const std::string& content :
       {"ok\n" + std::string(5, 'x'), "ok\n" + std::string(5, 'x') + "\n",
        "ok\n" + std::string(1000000, 'x') + "\n"})
    EXPECT_THAT(testing::problem_of([&] { lines_of(content, 4); }),
                HasSubstr("f:2: line has more than 4 bytes"));
}

/// The text, or "!" and the problem.
std::string text_of(const std::string& record, const std::string& key = "text") {
  std::string text;
  const std::string problem = read_record(record, key, text);
  return problem.empty() ? text : "!" + problem;
}

TEST(ReadRecord, FindsTheTextAmongOtherKeys) {
  EXPECT_EQ(text_of(R"({"text": "a"})"), "a");
  EXPECT_EQ(text_of(R"( {"id": 7, "meta": {"text": "no", "x": [1, {"text": 2}]}, "text": "yes",
                       "tail": [null, true, -1, 1.5, "text"]} )"),
            "yes");
  EXPECT_EQ(text_of(R"({"text": "", "x": 1})"), "");
  EXPECT_EQ(text_of(R"({"content": "a", "text": "b"})", "content"), "a");
  EXPECT_EQ(text_of("{\"text\": \"a\"}\r"), "a");
}

TEST(ReadRecord, UnderstandsEscapesAndSurrogates) {
  EXPECT_EQ(text_of(R"({"text": "a\n\t\"\\\/\u00e9\ud83d\ude00\u0000b"})"),
            std::string("a\n\t\"\\/\u00e9\U0001F600\0b", 14));
  EXPECT_EQ(text_of("{\"text\": \"\u00e9\"}"), "\u00e9");
}

TEST(ReadRecord, ReadsWhatAnotherWriterWrote) {
  std::string text;
  for (int code = 1; code < 0x3000; code += 7)
    if (code < 0x80)
      text += static_cast<char>(code);
    else if (code < 0x800)
      (text += static_cast<char>(0xC0 | code >> 6)) += static_cast<char>(0x80 | (code & 0x3F));
  for (const bool ascii : {false, true}) {
    const auto record = nlohmann::json{{"a", {1, 2}}, {"text", text}}.dump(-1, ' ', ascii);
    EXPECT_EQ(text_of(record), text);
  }
}

TEST(MendRecord, PutsTheReplacementWhereThereIsNoCharacter) {
  const auto mended = [](const std::string& record) {
    std::string text;
    return mend_record(record, text) ? text : "nothing";
  };
  EXPECT_EQ(mended(R"({"text": "\ud800"})"), R"({"text": "\ufffd"})");
  EXPECT_EQ(mended(R"("\uDC00\uD83D\uDE00\ud83d")"), R"("\ufffd\uD83D\uDE00\ufffd")");
  EXPECT_EQ(mended(R"("\ud800\ud83d\ude00")"), R"("\ufffd\ud83d\ude00")");
  EXPECT_EQ(mended("\"\xff\\ud800\xc3\""), "\"\uFFFD\\ufffd\uFFFD\"");
  for (const char* record : {R"("\\ud800")", R"("\ud83d\ude00")", R"("\u00e9\ud8")", R"(\)", ""})
    EXPECT_EQ(mended(record), "nothing") << record;
}

TEST(ReadRecord, SaysWhatIsWrong) {
  EXPECT_THAT(text_of("{}"), HasSubstr("has no key \"text\""));
  EXPECT_THAT(text_of(R"({"meta": {"text": "inside"}})"), HasSubstr("has no key \"text\""));
  for (const char* value : {"1", "-1", "1.5", "null", "true", "[\"a\"]", "{\"a\": \"b\"}"})
    EXPECT_THAT(text_of(std::string("{\"text\": ") + value + "}"),
                HasSubstr("\"text\" is not a string"))
        << value;
  for (const char* record : {"[]", "\"text\"", "3", "[{\"text\": \"a\"}]"})
    EXPECT_THAT(text_of(record), HasSubstr("is not an object")) << record;
  for (const char* record :
       {"{", "{\"text\": \"a", "{\"text\": \"a\"", "nonsense", "{\"text\": \"a\"} x",
        "{\"text\": \"\\ud800\"}", "{\"text\": \"\xff\"}", "{\"text\": \"a\nb\"}", "{'text': 'a'}"})
    EXPECT_THAT(text_of(record), HasSubstr("is not JSON: ")) << record;
}

TEST(ReadRecord, MessagesAreShortAndPrintable) {
  const std::string problem = text_of("{\"text\": \"" + std::string(100000, 'x') + "\n\xff\"}");
  EXPECT_LT(problem.size(), 250u);
  for (const char c : problem) EXPECT_TRUE(c >= 0x20 && c < 0x7F) << problem;
  EXPECT_THAT(text_of(std::string(200000, '[')), HasSubstr("is not JSON"));
}

}  // namespace
}  // namespace longhaul::data
