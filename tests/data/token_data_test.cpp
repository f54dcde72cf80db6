// Files of tokens as others make them, by hand: what is read, and what is refused.
#include "data/token_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/samplers.h"
#include "tests/data/scratch.h"

namespace longhaul::data {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::problem_of;
using testing::write_file;

/// The bytes of little-endian integers.
template <class T>
std::string packed(std::initializer_list<int64_t> values) {
  std::string bytes;
  for (const int64_t value : values)
    for (size_t i = 0; i < sizeof(T); ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

class TokenDataFiles : public ::testing::Test {
 protected:
  std::unique_ptr<TokenData> open(const std::string& name) {
    return open_token_data(scratch_ / name, options_);
  }
  std::string problem(const std::string& name, const std::string& content) {
    write_file(scratch_ / name, content);
    return problem_of([&] { open(name); });
  }
  static std::vector<int32_t> tokens_of(const TokenData& data) {
    std::vector<int32_t> tokens(static_cast<size_t>(data.tokens()));
    data.read(0, tokens);
    return tokens;
  }
  static std::vector<int64_t> borders_of(const TokenData& data) {
    std::vector<int64_t> borders;
    for (int64_t i = 0; i <= data.documents(); ++i) borders.push_back(data.document_begin(i));
    return borders;
  }

  testing::Scratch scratch_;
  TokenDataOptions options_{.vocabulary = 300};
};

TEST_F(TokenDataFiles, FlatIsOneDocumentUnlessItsEndIsKnown) {
  write_file(scratch_ / "a.bin", packed<uint16_t>({5, 299, 0, 7, 0}));
  EXPECT_THAT(tokens_of(*open("a.bin")), ElementsAre(5, 299, 0, 7, 0));
  EXPECT_THAT(borders_of(*open("a.bin")), ElementsAre(0, 5));
  options_.end_of_document = 0;
  EXPECT_THAT(borders_of(*open("a.bin")), ElementsAre(0, 3, 5));
  EXPECT_EQ(open("a.bin")->end_of_document(), 0);
  options_.end_of_document = 7;
  EXPECT_THAT(borders_of(*open("a.bin")), ElementsAre(0, 4, 5));
  EXPECT_EQ(open("a.bin")->vocabulary(), 300);
}

TEST_F(TokenDataFiles, FlatElementsFollowTheVocabularyOrTheOption) {
  write_file(scratch_ / "a.bin", packed<uint32_t>({5, 299}));
  options_.element = FlatElement::kU32;
  EXPECT_THAT(tokens_of(*open("a.bin")), ElementsAre(5, 299));
  options_ = {.vocabulary = 65537};
  EXPECT_THAT(tokens_of(*open("a.bin")), ElementsAre(5, 299));
  options_ = {.vocabulary = 65536};
  EXPECT_THAT(tokens_of(*open("a.bin")), ElementsAre(5, 0, 299, 0));
}

TEST_F(TokenDataFiles, LlmCHasAHeader) {
  const auto file = [&](int32_t magic, int32_t version, int32_t count, const std::string& tokens) {
    return packed<int32_t>({magic, version, count}) + std::string(1024 - 12, '\0') + tokens;
  };
  write_file(scratch_ / "a.bin", file(20240520, 1, 2, packed<uint16_t>({5, 299})));
  EXPECT_THAT(tokens_of(*open("a.bin")), ElementsAre(5, 299));
  write_file(scratch_ / "b.bin", file(20240801, 7, 2, packed<uint32_t>({5, 299})));
  EXPECT_THAT(tokens_of(*open("b.bin")), ElementsAre(5, 299));
  EXPECT_THAT(problem("c.bin", file(20240520, 7, 2, "")), HasSubstr("version is 7, expected 1"));
  EXPECT_THAT(problem("c.bin", file(20240520, 1, 2, "abc")), HasSubstr("expected 1028"));
  EXPECT_THAT(problem("c.bin", file(20240520, 1, -1, "")), HasSubstr("-1 tokens"));
  EXPECT_THAT(problem("c.bin", packed<int32_t>({20240520, 1, 0})), HasSubstr("header of 1024"));
}

std::string npy(const std::string& description, const std::string& data, int version = 1) {
  std::string header = "\x93NUMPY";
  header += static_cast<char>(version);
  header += '\0';
  const auto size = static_cast<int64_t>(description.size());
  return header + (version == 1 ? packed<uint16_t>({size}) : packed<uint32_t>({size})) +
         description + data;
}

TEST_F(TokenDataFiles, NpyOfOneDimension) {
  write_file(scratch_ / "a.npy",
             npy("{'descr': '<u2', 'fortran_order': False, 'shape': (2,), }  \n",
                 packed<uint16_t>({5, 299})));
  EXPECT_THAT(tokens_of(*open("a.npy")), ElementsAre(5, 299));
  write_file(scratch_ / "b.npy", npy("{\"shape\":(2),'fortran_order':True,'descr':'<i8'}",
                                     packed<int64_t>({5, 299}), 3));
  EXPECT_THAT(tokens_of(*open("b.npy")), ElementsAre(5, 299));
}

TEST_F(TokenDataFiles, OtherNpyIsRefused) {
  const auto said = [&](const std::string& description) {
    return problem("a.npy", npy(description, "12"));
  };
  EXPECT_THAT(said("{'descr': '>u2', 'fortran_order': False, 'shape': (1,)}"),
              AllOf(HasSubstr("a.npy: .npy header: descr is '>u2'"), HasSubstr("little-endian")));
  EXPECT_THAT(said("{'descr': '<f2', 'fortran_order': False, 'shape': (1,)}"), HasSubstr("<f2"));
  EXPECT_THAT(said("{'descr': [('a', '<u2')], 'fortran_order': False, 'shape': (1,)}"),
              HasSubstr("one simple type"));
  EXPECT_THAT(said("{'descr': '<u2', 'fortran_order': False, 'shape': (1, 1)}"),
              HasSubstr("has 2 dimensions, expected 1"));
  EXPECT_THAT(said("{'descr': '<u2', 'fortran_order': False, 'shape': ()}"),
              HasSubstr("has 0 dimensions"));
  EXPECT_THAT(said("{'descr': '<u2', 'fortran_order': False, 'shape': (2,)}"),
              HasSubstr("2 elements <u2"));
  EXPECT_THAT(said("{'descr': '<u2', 'shape': (99999999999999999999,)}"), HasSubstr("too large"));
  EXPECT_THAT(said("{'descr': '<u2'}"), HasSubstr("has no shape"));
  EXPECT_THAT(said("{'descr': '<u2', 'shape': (1,)} more"), HasSubstr("goes on after its end"));
  EXPECT_THAT(said("{'descr': '<u2', 'other': 1}"), HasSubstr("'other'"));
  EXPECT_THAT(said("{'descr': '<u2"), HasSubstr("has no end"));
  EXPECT_THAT(problem("a.npy", npy("{}", "").substr(0, 9)), HasSubstr("is cut off"));
  EXPECT_THAT(problem("a.npy", npy("{}", "", 4)), HasSubstr("version is 4"));
  EXPECT_THAT(problem("a.npy", std::string("\x93NUMPY\2\0\xff\xff\xff\xff{}", 14)),
              HasSubstr("is cut off"));
}

struct Index {
  std::string magic = std::string("MMIDIDX\0\0", 9);
  int64_t version = 1, code = 8, sequences = 3, documents = 3;
  std::string sizes = packed<int32_t>({2, 0, 3});
  std::string places = packed<int64_t>({0, 4, 4});
  std::string first = packed<int64_t>({0, 2, 3});
  std::string bytes() const {
    return magic + packed<uint64_t>({version}) + packed<uint8_t>({code}) +
           packed<uint64_t>({sequences, documents}) + sizes + places + first;
  }
};

TEST_F(TokenDataFiles, MegatronHasItsDocumentsInTheIndex) {
  write_file(scratch_ / "a.bin", packed<uint16_t>({1, 2, 3, 4, 5}));
  write_file(scratch_ / "a.idx", Index().bytes());
  for (const std::string name : {"a", "a.bin", "a.idx"}) {
    EXPECT_THAT(tokens_of(*open(name)), ElementsAre(1, 2, 3, 4, 5));
    EXPECT_THAT(borders_of(*open(name)), ElementsAre(0, 2, 5));
  }
  Index never_told;
  never_told.documents = 1;
  never_told.first = packed<int64_t>({0});
  write_file(scratch_ / "a.idx", never_told.bytes());
  EXPECT_THAT(borders_of(*open("a")), ElementsAre(0, 2, 5));  // the empty sequence is none
}

TEST_F(TokenDataFiles, DamagedMegatronIsRefused) {
  write_file(scratch_ / "a.bin", packed<uint16_t>({1, 2, 3, 4, 5}));
  const auto said = [&](const auto& change) {
    Index index;
    change(index);
    write_file(scratch_ / "a.idx", index.bytes());
    return problem_of([&] { open("a"); });
  };
  EXPECT_THAT(said([](Index& i) { i.magic[0] = 'X'; }), HasSubstr("a.idx: does not begin"));
  EXPECT_THAT(said([](Index& i) { i.version = 2; }), HasSubstr("version is 2"));
  EXPECT_THAT(said([](Index& i) { i.code = 6; }), HasSubstr("type of elements is 6"));
  EXPECT_THAT(said([](Index& i) { i.code = 4; }), HasSubstr("for elements of 4 bytes"));
  EXPECT_THAT(said([](Index& i) { i.sequences = 4; }), HasSubstr("4 sequences"));
  EXPECT_THAT(said([](Index& i) { i.sequences = int64_t{1} << 62; }), HasSubstr("sequences"));
  EXPECT_THAT(said([](Index& i) { i.documents = -1; }), HasSubstr("documents"));
  EXPECT_THAT(said([](Index& i) {
                i.sizes = packed<int32_t>({2, -1, 3});
              }),
              HasSubstr("sequence 1 has -1 tokens"));
  EXPECT_THAT(said([](Index& i) {
                i.sizes = packed<int32_t>({2, 0, 4});
              }),
              HasSubstr("sequences of 6 tokens, the .bin 5"));
  EXPECT_THAT(said([](Index& i) {
                i.places = packed<int64_t>({0, 4, 6});
              }),
              HasSubstr("sequence 2 begins at byte 6, expected 4"));
  EXPECT_THAT(said([](Index& i) {
                i.first = packed<int64_t>({0, 2, 2});
              }),
              HasSubstr("documents end at sequence 2, expected 3"));
  EXPECT_THAT(said([](Index& i) {
                i.first = packed<int64_t>({0, 9, 3});
              }),
              HasSubstr("document 1 begins with sequence 9"));
  EXPECT_THAT(said([](Index& i) {
                i.first = packed<int64_t>({1, 2, 3});
              }),
              HasSubstr("document 0 begins with sequence 1"));
}

TEST_F(TokenDataFiles, FolderIsReadInTheOrderOfNames) {
  write_file(scratch_ / "in/b.bin", packed<uint16_t>({3, 0, 4}));
  write_file(scratch_ / "in/a.bin", packed<uint16_t>({1, 0, 2}));
  write_file(scratch_ / "in/empty.bin", "");
  write_file(scratch_ / "in/.hidden.bin", packed<uint16_t>({9}));
  write_file(scratch_ / "in/read.me", "x");
  options_.end_of_document = 0;
  const auto data = open("in");
  EXPECT_THAT(tokens_of(*data), ElementsAre(1, 0, 2, 3, 0, 4));
  EXPECT_THAT(borders_of(*data), ElementsAre(0, 2, 3, 5, 6));
  std::vector<int32_t> middle(3);
  data->read(2, middle);
  EXPECT_THAT(middle, ElementsAre(2, 3, 0));
}

TEST_F(TokenDataFiles, TokenFolderIsOneOfThem) {
  testing::write_numbered(scratch_ / "tokens", {2, 1});
  const auto data = open("tokens");
  EXPECT_EQ(data->tokenizer(), "numbers");
  EXPECT_THAT(tokens_of(*data), ElementsAre(0, 1, 3, 2, 3));
  std::filesystem::remove(scratch_ / "tokens/manifest.json");
  EXPECT_THAT(problem_of([&] { open("tokens"); }), HasSubstr("manifest.json"));
}

TEST_F(TokenDataFiles, WhatIsNoTokensIsRefused) {
  EXPECT_THAT(problem("a.jsonl", "{}"), HasSubstr("longhaul tokenize makes one of text"));
  EXPECT_THAT(problem("a.bin", "abc"), HasSubstr("has 3 bytes, expected a multiple of 2"));
  EXPECT_THAT(problem_of([&] { open("none"); }), HasSubstr("none"));
  std::filesystem::create_directory(scratch_ / "empty");
  EXPECT_THAT(problem_of([&] { open("empty"); }), HasSubstr("no .bin or .npy files"));
  options_.vocabulary = 0;
  EXPECT_THAT(problem("b.bin", "ab"), AllOf(HasSubstr("vocabulary: is 0"), HasSubstr("b.bin")));
  options_ = {.vocabulary = 300, .end_of_document = 300};
  EXPECT_THAT(problem("b.bin", "ab"), HasSubstr("end_of_document: is 300"));
}

TEST_F(TokenDataFiles, TokensOutsideTheVocabularyAreNamedWhenRead) {
  const auto said = [&](const std::string& name) {
    const auto data = open(name);
    return problem_of([&] { tokens_of(*data); });
  };
  write_file(scratch_ / "a.bin", packed<uint16_t>({5, 300}));
  EXPECT_THAT(said("a.bin"), AllOf(HasSubstr("a.bin: token 1 is 300"), HasSubstr("to 299")));
  write_file(scratch_ / "b.npy", npy("{'descr':'<i4','shape':(2,)}", packed<int32_t>({5, -3})));
  EXPECT_THAT(said("b.npy"), HasSubstr("token 1 is -3"));
  write_file(scratch_ / "c.npy",
             npy("{'descr':'<i8','shape':(1,)}", packed<int64_t>({(int64_t{1} << 32) + 1})));
  EXPECT_THAT(said("c.npy"), HasSubstr("token 0 is"));
}

TEST_F(TokenDataFiles, SamplersReadThem) {
  write_file(scratch_ / "a.bin", packed<uint16_t>({1, 2, 3, 4, 5, 6, 7, 8, 9}));
  const auto data = open("a.bin");
  const auto batches = make_random_sampler(*data, 3, 1, {});
  const Batch batch = batches->next();
  EXPECT_EQ(batch.labels[0], batch.tokens[0] + 1);
  const std::string position = batches->position();
  write_file(scratch_ / "b.bin", packed<uint16_t>({1, 2, 3, 4, 5, 6, 7, 8, 10}));
  const auto other = open("b.bin");
  EXPECT_NE(other->fingerprint(), data->fingerprint());
  EXPECT_THAT(problem_of([&] { make_random_sampler(*other, 3, 1, {})->restore(position); }),
              HasSubstr("fingerprint"));
}

}  // namespace
}  // namespace longhaul::data
