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

/// The number of documents is nobody's business until somebody asks.
TEST_F(TokenDataFiles, EndsOfDocumentsAreSearchedWhenTheyAreAskedFor) {
  write_file(scratch_ / "a.bin", packed<uint16_t>({5, 0, 7, 300}));
  std::filesystem::create_directory(scratch_ / "in");
  std::filesystem::copy(scratch_ / "a.bin", scratch_ / "in/a.bin");
  EXPECT_TRUE(open("a.bin")->knows_documents());
  EXPECT_TRUE(open("in")->knows_documents());
  const uint64_t without = open("a.bin")->fingerprint();
  options_.end_of_document = 0;
  for (const char* name : {"a.bin", "in"}) {
    const auto data = open(name);
    EXPECT_FALSE(data->knows_documents());
    EXPECT_EQ(data->tokens(), 4);
    EXPECT_EQ(make_random_sampler(*data, 1, 1, {})->position().empty(), false);
    EXPECT_THAT(problem_of([&] { data->documents(); }), HasSubstr("a.bin: token 3 is 300"));
  }
  const uint64_t end_0 = open("a.bin")->fingerprint();
  EXPECT_NE(end_0, without);
  options_.end_of_document = 7;
  EXPECT_NE(open("a.bin")->fingerprint(), end_0);
}

/// What was read under the earlier fingerprint is gone on with.
TEST_F(TokenDataFiles, PositionsOfEarlierProgramsAreUnderstood) {
  write_file(scratch_ / "a.bin", packed<uint16_t>({1, 2, 0, 4, 5, 0, 7, 8, 9}));
  options_.end_of_document = 0;
  const auto data = open("a.bin");
  // It counted the documents, whether the file says where they end or not.
  Index index{.documents = 4,
              .sizes = packed<int32_t>({3, 3, 3}),
              .places = packed<int64_t>({0, 6, 12}),
              .first = packed<int64_t>({0, 1, 2, 3})};
  write_file(scratch_ / "a.idx", index.bytes());
  const auto counted = open("a.bin");
  EXPECT_TRUE(counted->knows_documents());
  EXPECT_NE(counted->fingerprint(), data->fingerprint());
  EXPECT_EQ(counted->fingerprint(), data->earlier_fingerprint());
  const auto batches = make_random_sampler(*counted, 3, 1, {});
  batches->next();
  EXPECT_NO_THROW(make_random_sampler(*data, 3, 1, {})->restore(batches->position()));
}

TEST_F(TokenDataFiles, AFileThatIsCutOffLaterIsAnErrorThatNamesIt) {
  write_file(scratch_ / "a.bin", std::string(1 << 20, '\0'));
  const auto data = open("a.bin");
  const uint64_t fingerprint = data->fingerprint();
  std::filesystem::resize_file(scratch_ / "a.bin", 4096);
  try {
    tokens_of(*data);
    ADD_FAILURE() << "expected an Error";
  } catch (const core::InputError& error) {
    ADD_FAILURE() << "what a user can do nothing about: " << error.what();
  } catch (const core::Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("a.bin: ends at byte 4096, expected 1048576")));
  }
  EXPECT_EQ(data->fingerprint(), fingerprint);  // it can still be saved what was read
}

TEST_F(TokenDataFiles, RowsWithTokensOutsideTheVocabularyCanBeSkipped) {
  write_file(scratch_ / "good.bin", packed<uint16_t>({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}));
  write_file(scratch_ / "bad.bin", packed<uint16_t>({1, 2, 3, 4, 5, 6, 999, 8, 9, 10, 11, 12, 13}));
  const auto good = open("good.bin"), bad = open("bad.bin");
  const auto batches = [](const TokenData& data, const std::string& kind, bool skip) {
    const RowShare share{.rows = 2, .skip_bad_rows = skip};
    if (kind == "random") return make_random_sampler(data, 3, 1, share);
    return make_lane_sampler(data, 3, 1, share, {.reset_at_documents = kind == "documents"});
  };
  for (const std::string kind : {"random", "lanes", "documents"}) {
    EXPECT_THAT(problem_of([&] {
                  const auto strict = batches(*bad, kind, false);
                  for (int i = 0; i < 9; ++i) strict->next();
                }),
                HasSubstr("bad.bin: token 6 is 999"));
    const auto expected = batches(*good, kind, false), found = batches(*bad, kind, true);
    int skipped = 0;
    for (int i = 0; i < 9; ++i) {
      const Batch whole = expected->next(), batch = found->next();
      EXPECT_EQ(batch.fresh, whole.fresh);
      for (size_t row = 0; row < 6; row += 3) {
        bool has_7 = false, is_empty = true;
        for (size_t at = row; at < row + 3; ++at) {
          has_7 = has_7 || whole.tokens[at] == 7 || whole.labels[at] == 7;
          is_empty = is_empty && batch.labels[at] == -1;
          EXPECT_LT(batch.tokens[at], 300);
        }
        if (!has_7) {
          for (size_t at = row; at < row + 3; ++at) {
            EXPECT_EQ(batch.tokens[at], whole.tokens[at]) << kind;
            EXPECT_EQ(batch.labels[at], whole.labels[at]) << kind;
          }
          continue;
        }
        EXPECT_TRUE(is_empty) << kind;
        // What is left of the row's text is read: its final state may be passed on.
        for (size_t at = row; at < row + 3; ++at) {
          EXPECT_EQ(batch.tokens[at], whole.tokens[at] == 7 ? 0 : whole.tokens[at]) << kind;
        }
        ++skipped;
      }
    }
    EXPECT_GT(skipped, 1) << kind;
  }
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
