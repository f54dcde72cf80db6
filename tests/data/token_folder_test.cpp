#include "data/token_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "data/tokenizer.h"
#include "kernels/core/random.h"
#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::problem_of;
using testing::read_file;
using testing::Scratch;
using testing::write_file;

TEST(TokenFolder, GivesBackWhatWasWritten) {
  Scratch scratch;
  {
    TokenFolderWriter writer(scratch / "out",
                             {.tokenizer = "byte", .vocabulary = 257, .end_of_document = 256});
    writer.add_document(std::vector<int32_t>{1, 2, 3});
    writer.add_document({});
    writer.append(std::vector<int32_t>{4});
    writer.append(std::vector<int32_t>{255, 0});
    writer.end_document();
    writer.add_source("some/file \xff.txt");
    EXPECT_EQ(writer.tokens(), 9);
    EXPECT_EQ(writer.documents(), 3);
    writer.finish();
  }
  const TokenFolder folder(scratch / "out");
  EXPECT_EQ(folder.tokenizer(), "byte");
  EXPECT_EQ(folder.vocabulary(), 257);
  EXPECT_EQ(folder.end_of_document(), 256);
  EXPECT_EQ(folder.documents(), 3);
  EXPECT_THAT(testing::read_all(folder), ElementsAre(1, 2, 3, 256, 256, 4, 255, 0, 256));
  EXPECT_EQ(folder.document_begin(0), 0);
  EXPECT_EQ(folder.document_begin(1), 4);
  EXPECT_EQ(folder.document_begin(2), 5);
  EXPECT_EQ(folder.document_begin(3), 9);
  std::vector<int32_t> middle(3);
  folder.read(2, middle);
  EXPECT_THAT(middle, ElementsAre(3, 256, 256));
  folder.verify();
  const auto manifest = nlohmann::json::parse(read_file(scratch / "out/manifest.json"));
  EXPECT_EQ(manifest.at("sources").at(0), "some/file \uFFFD.txt");
}

TEST(TokenFolder, IsLaidOutAsPromised) {
  Scratch scratch;
  {
    TokenFolderWriter writer(scratch / "out",
                             {.tokenizer = "t", .vocabulary = 65536, .end_of_document = 0x1234});
    writer.add_document(std::vector<int32_t>{0xFFFE});
    writer.finish();
  }
  EXPECT_EQ(read_file(scratch / "out/tokens.bin"), std::string("\xFE\xFF\x34\x12", 4));
  EXPECT_EQ(read_file(scratch / "out/documents.bin"),
            std::string("\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", 16));
  const auto manifest = nlohmann::json::parse(read_file(scratch / "out/manifest.json"));
  EXPECT_EQ(manifest.at("format"), "longhaul token folder");
  EXPECT_EQ(manifest.at("element_bytes"), 2);
  EXPECT_EQ(manifest.at("tokens"), "2");  // 64-bit numbers are strings in Protobuf's JSON
}

TEST(TokenFolder, TakesFourBytesWhereTheVocabularyNeedsThem) {
  Scratch scratch;
  {
    TokenFolderWriter writer(scratch / "out",
                             {.tokenizer = "t", .vocabulary = 65537, .end_of_document = 65536});
    writer.add_document(std::vector<int32_t>{65535, 1});
    writer.finish();
  }
  EXPECT_EQ(read_file(scratch / "out/tokens.bin").size(), 12u);
  EXPECT_THAT(testing::read_all(TokenFolder(scratch / "out")), ElementsAre(65535, 1, 65536));
}

TEST(TokenFolder, MayBeEmpty) {
  Scratch scratch;
  testing::write_numbered(scratch / "out", {});
  const TokenFolder folder(scratch / "out");
  EXPECT_EQ(folder.tokens(), 0);
  EXPECT_EQ(folder.documents(), 0);
  EXPECT_EQ(folder.document_begin(0), 0);
}

TEST(TokenFolder, BringsRandomTextBack) {
  Scratch scratch;
  const auto tokenizer = make_tokenizer("byte");
  core::RandomStream random({2, 0, core::RandomPurpose::kTest});
  std::vector<std::string> texts;
  TokenFolderWriter writer(scratch / "out",
                           {.tokenizer = "byte", .vocabulary = 257, .end_of_document = 256});
  for (int i = 0; i < 50; ++i) {
    std::string text(random.below(20000), ' ');
    for (char& c : text) c = static_cast<char>(random.below(256));
    std::vector<int32_t> tokens;
    tokenizer->encode(text, tokens);
    writer.add_document(tokens);
    texts.push_back(text);
  }
  writer.finish();
  const TokenFolder folder(scratch / "out");
  for (int64_t i = 0; i < folder.documents(); ++i) {
    const int64_t begin = folder.document_begin(i);
    std::vector<int32_t> tokens(static_cast<size_t>(folder.document_begin(i + 1) - begin));
    folder.read(begin, tokens);
    std::string text;
    for (const int32_t token : tokens) text += tokenizer->decode(token);
    ASSERT_EQ(text, texts[static_cast<size_t>(i)]);
    ASSERT_EQ(tokens.back(), 256);
  }
}

TEST(TokenFolder, FingerprintChangesWithTheTokens) {
  Scratch scratch;
  testing::write_numbered(scratch / "a", {5, 6});
  testing::write_numbered(scratch / "b", {5, 6});
  testing::write_numbered(scratch / "c", {6, 5});  // the same size, other borders
  const uint64_t a = TokenFolder(scratch / "a").fingerprint();
  EXPECT_EQ(TokenFolder(scratch / "b").fingerprint(), a);
  EXPECT_NE(TokenFolder(scratch / "c").fingerprint(), a);
}

TEST(TokenFolder, IsMovable) {
  Scratch scratch;
  testing::write_numbered(scratch / "a", {5});
  TokenFolder first(scratch / "a");
  TokenFolder second(std::move(first));
  EXPECT_EQ(second.tokens(), 6);
}

// Each case damages one file of a good folder and says which words must be in the message.
struct Damage {
  std::string name, file;
  std::function<std::string(std::string)> change;
  std::vector<std::string> expected;
};

std::function<std::string(std::string)> key(const std::string& name, const nlohmann::json& value) {
  return [=](const std::string& content) {
    auto json = nlohmann::json::parse(content);
    json[name] = value;
    return json.dump();
  };
}
std::function<std::string(std::string)> entry(size_t index, uint64_t value) {
  return [=](std::string content) {
    std::memcpy(content.data() + 8 * index, &value, 8);
    return content;
  };
}
std::function<std::string(std::string)> becomes(const std::string& content) {
  return [=](const std::string&) { return content; };
}

void PrintTo(const Damage& damage, std::ostream* out) { *out << damage.name; }

class DamagedTokenFolder : public ::testing::TestWithParam<Damage> {};

TEST_P(DamagedTokenFolder, IsRefusedWithTheReason) {
  Scratch scratch;
  testing::write_numbered(scratch / "out", {3, 4});  // 9 tokens, borders 0 4 9
  const auto file = scratch / ("out/" + GetParam().file);
  write_file(file, GetParam().change(read_file(file)));
  const std::string problem = problem_of([&] { TokenFolder folder(scratch / "out"); });
  EXPECT_THAT(problem, HasSubstr(file.string()));
  for (const auto& words : GetParam().expected) EXPECT_THAT(problem, HasSubstr(words));
  std::istringstream lines(problem);
  for (std::string line; std::getline(lines, line);)
    EXPECT_TRUE(line.starts_with(file.string() + ": ")) << line;
}

const char* const kManifest = "manifest.json";
INSTANTIATE_TEST_SUITE_P(
    Files, DamagedTokenFolder,
    ::testing::Values(
        Damage{"TokensTruncated",
               "tokens.bin",
               [](const std::string& s) { return s.substr(0, 16); },
               {"has 16 bytes", "expected 18"}},
        Damage{"TokensOdd",
               "tokens.bin",
               [](const std::string& s) { return s + "x"; },
               {"has 19 bytes", "expected 18"}},
        Damage{"TokensEmpty", "tokens.bin", becomes(""), {"has 0 bytes"}},
        Damage{"TokensOtherBytes", "tokens.bin", becomes(std::string(18, '\1')), {"CRC-32"}},
        Damage{"DocumentsEmpty", "documents.bin", becomes(""), {"has 0 bytes", "expected 24"}},
        Damage{"DocumentsOdd",
               "documents.bin",
               [](const std::string& s) { return s + "abc"; },
               {"has 27 bytes", "expected 24"}},
        Damage{"DocumentsGarbage",
               "documents.bin",
               becomes(std::string(24, '\xff')),
               {"entry 0 is 18446744073709551615", "expected 0"}},
        Damage{"DocumentsNotFromZero", "documents.bin", entry(0, 1), {"entry 0 is 1"}},
        Damage{"DocumentsNotIncreasing",
               "documents.bin",
               entry(1, 0),
               {"entry 1 is 0", "expected more than 0"}},
        Damage{"DocumentsBeyondTheEnd", "documents.bin", entry(1, 10), {"entry 2 is 9"}},
        Damage{"DocumentsEndBeyond",
               "documents.bin",
               entry(2, uint64_t{1} << 63),
               {"entry 2 is 9223372036854775808", "expected 9"}},
        Damage{"DocumentsOtherBorder", "documents.bin", entry(1, 5), {"CRC-32"}}),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Manifests, DamagedTokenFolder,
    ::testing::Values(
        Damage{"Empty", kManifest, becomes(""), {"not a token folder's manifest"}},
        Damage{"NotJson", kManifest, becomes("{\"format\": \n"), {"not a token folder's manifest"}},
        Damage{"Binary", kManifest, becomes(std::string("\0\xff\xfe{", 4)), {"manifest"}},
        Damage{"NotAnObject", kManifest, becomes("[1, 2]"), {"not a token folder's manifest"}},
        Damage{"EmptyObject",
               kManifest,
               becomes("{}"),
               {"format: is \"\"", "expected \"longhaul token folder\""}},
        Damage{"DeeplyNested", kManifest, becomes(std::string(100000, '[')), {"manifest"}},
        Damage{"UnknownField", kManifest, key("colour", "red"), {"colour"}},
        Damage{"OtherFormat", kManifest, key("format", "zip"), {"format: is \"zip\""}},
        Damage{"LaterVersion", kManifest, key("version", 2), {"version: is 2, expected 1"}},
        Damage{"NoTokenizer", kManifest, key("tokenizer", ""), {"tokenizer: is empty"}},
        Damage{"TooLarge",
               kManifest,
               becomes(std::string((64 << 20) + 1, ' ')),
               {"expected at most 67108864"}},
        Damage{"WrongType", kManifest, key("tokens", "many"), {"tokens", "many"}},
        Damage{"Fraction", kManifest, key("tokens", 9.5), {"tokens"}},
        Damage{"NegativeTokens", kManifest, key("tokens", -9), {"tokens: is -9"}},
        Damage{"EnormousTokens",
               kManifest,
               key("tokens", "9223372036854775807"),
               {"tokens: is 9223372036854775807", "expected from 0 to"}},
        Damage{"BeyondSixtyFourBits", kManifest, key("tokens", "99999999999999999999"), {"tokens"}},
        Damage{"EnormousDocuments",
               kManifest,
               key("documents", "9223372036854775807"),
               {"documents: is 9223372036854775807"}},
        Damage{"NegativeDocuments", kManifest, key("documents", "-1"), {"documents: is -1"}},
        Damage{"NoDocuments",
               kManifest,
               key("documents", "0"),
               {"documents: is 0", "at least 1 for 9 tokens"}},
        Damage{"NoVocabulary", kManifest, key("vocabulary", 0), {"vocabulary: is 0"}},
        Damage{"HugeVocabulary", kManifest, key("vocabulary", "2147483648"), {"vocabulary: is"}},
        Damage{"OddElement", kManifest, key("element_bytes", 3), {"element_bytes: is 3"}},
        Damage{"NegativeElement", kManifest, key("element_bytes", -2), {"element_bytes: is -2"}},
        Damage{"ElementTooSmall",
               kManifest,
               key("vocabulary", 65537),
               {"element_bytes: is 2, expected 4"}},
        Damage{"EndNegative", kManifest, key("end_of_document", -1), {"end_of_document: is -1"}},
        Damage{"EndOutside", kManifest, key("end_of_document", 8), {"end_of_document: is 8"}}),
    [](const auto& info) { return info.param.name; });

TEST(DamagedTokenFolder, CountsThatDoNotFitTheFiles) {
  Scratch scratch;
  testing::write_numbered(scratch / "out", {3, 4});
  const auto manifest = scratch / "out/manifest.json";
  write_file(manifest, key("tokens", 10)(key("documents", 5)(read_file(manifest))));
  EXPECT_THAT(problem_of([&] { TokenFolder folder(scratch / "out"); }),
              AllOf(HasSubstr("tokens.bin: has 18 bytes, expected 20"),
                    HasSubstr("documents.bin: has 24 bytes, expected 48")));
}

TEST(DamagedTokenFolder, MissingFilesAreNamed) {
  Scratch scratch;
  EXPECT_THAT(problem_of([&] { TokenFolder folder(scratch / "none"); }), HasSubstr("none"));
  for (const std::string file : {"tokens.bin", "documents.bin", "manifest.json"}) {
    std::filesystem::remove_all(scratch / "out");
    testing::write_numbered(scratch / "out", {3});
    std::filesystem::remove(scratch / ("out/" + file));
    EXPECT_THAT(problem_of([&] { TokenFolder folder(scratch / "out"); }), HasSubstr(file));
    std::filesystem::create_directory(scratch / ("out/" + file));
    EXPECT_THAT(problem_of([&] { TokenFolder folder(scratch / "out"); }),
                AllOf(HasSubstr(file), HasSubstr("it is a folder, expected a file")));
  }
}

TEST(DamagedTokenFolder, TokenOutsideTheVocabularyIsFoundWhenRead) {
  Scratch scratch;
  testing::write_numbered(scratch / "out", {3, 4});  // tokens up to 7
  const auto manifest = scratch / "out/manifest.json";
  write_file(manifest, key("vocabulary", 6)(key("end_of_document", 5)(read_file(manifest))));
  const TokenFolder folder(scratch / "out");
  std::vector<int32_t> good(3), bad(9);
  folder.read(0, good);
  EXPECT_THAT(good, ElementsAre(0, 1, 2));
  EXPECT_THAT(problem_of([&] { folder.read(0, bad); }),
              AllOf(HasSubstr("tokens.bin: token 3 is 7"), HasSubstr("vocabulary of 6")));
  EXPECT_THAT(problem_of([&] { folder.read(5, std::span(bad).first(3)); }),
              HasSubstr("token 7 is 6"));
}

TEST(DamagedTokenFolder, OneThatIsCutOffLaterIsAnErrorThatNamesIt) {
  Scratch scratch;
  testing::write_numbered(scratch / "out", {30000});
  const TokenFolder folder(scratch / "out");
  std::filesystem::resize_file(scratch / "out/tokens.bin", 10);
  std::vector<int32_t> tokens(5);
  EXPECT_NO_THROW(folder.read(0, tokens));
  try {
    folder.read(20000, tokens);
    ADD_FAILURE() << "expected an Error";
  } catch (const core::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("tokens.bin: ends at byte 10, expected 60002"));
  }
}

TEST(DamagedTokenFolder, VerifyFindsAChangedByteOfALargeFolder) {
  Scratch scratch;
  {
    TokenFolderWriter writer(scratch / "out",
                             {.tokenizer = "t", .vocabulary = 70000, .end_of_document = 69999});
    const std::vector<int32_t> tokens(17 << 20, 1);  // more than the 64 MiB checked at opening
    writer.add_document(tokens);
    writer.finish();
  }
  std::fstream file(scratch / "out/tokens.bin", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(4000000);
  file.put(2);
  file.close();
  const TokenFolder folder(scratch / "out");
  EXPECT_THAT(problem_of([&] { folder.verify(); }),
              AllOf(HasSubstr("tokens.bin: is damaged"), HasSubstr("CRC-32")));
}

}  // namespace
}  // namespace longhaul::data
