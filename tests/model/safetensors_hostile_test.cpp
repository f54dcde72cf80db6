// Files that lie, and files that are broken: an InputError that names file and tensor, never more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "kernels/core/context.h"
#include "kernels/core/random.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/safetensors_header.h"
#include "tests/model/safetensors_bytes.h"
#include "tests/model/scratch_folder.h"

namespace longhaul::model {
namespace {

using ::testing::HasSubstr;
using testing::input_error_of;
using testing::little_endian;
using testing::put_content;
using testing::safetensors_bytes;

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

std::string one_tensor(const std::string& dtype, const std::string& shape,
                       const std::string& offsets, size_t data_bytes) {
  return safetensors_bytes(R"({"weight":)" + entry(dtype, shape, offsets) + "}",
                           std::string(data_bytes, 'x'));
}

struct Broken {
  const char* name;
  std::string bytes;
  const char* expected;  ///< part of the message, besides the file's name
};

std::vector<Broken> broken_headers() {
  const std::string nothing = R"({})";
  const std::string good = entry("F32", "[1]", "[0,4]");
  return {
      {"Empty", "", "0 bytes"},
      {"SevenBytes", "1234567", "7 bytes"},
      {"HugeLength", little_endian(uint64_t{1} << 60) + "{}", "the most is 100000000"},
      {"NegativeLength", little_endian(~uint64_t{0}) + "{}", "18446744073709551615"},
      {"LengthBeyondFile", little_endian(50) + "{}", "truncated"},
      {"LengthZero", little_endian(0) + "{}", "no JSON object"},
      {"Array", safetensors_bytes("[]", ""), "no JSON object"},
      {"Garbage", safetensors_bytes("{\x01\xff garbage", ""), "not valid JSON"},
      {"TwoValues", safetensors_bytes("{}{}", ""), "not valid JSON"},
      {"InvalidUtf8", safetensors_bytes("{\"\xff\":1}", ""), "not valid JSON"},
      {"HugeNumber", safetensors_bytes(R"({"a":1e999})", ""), "not valid JSON"},
      {"PickledModel", "PK\x03\x04" + std::string(100, '\0'), "safetensors"},
  };
}

std::vector<Broken> broken_tensors() {
  const std::string good = entry("F32", "[1]", "[0,4]");
  return {
      {"DuplicateNames",
       safetensors_bytes(R"({"weight":)" + good + R"(,"weight":)" + good + "}", "1234"),
       "\"weight\" is there twice"},
      {"DuplicateKeys", safetensors_bytes(R"({"weight":{"dtype":"F32","dtype":"F32"}})", ""),
       "\"dtype\" is there twice"},
      {"NoObject", safetensors_bytes(R"({"weight":7})", ""), "\"weight\": expected an object"},
      {"NoDtype", safetensors_bytes(R"({"weight":{"shape":[1],"data_offsets":[0,4]}})", "1234"),
       "\"weight\": dtype"},
      {"UnknownDtype", one_tensor("F8_E4M3", "[4]", "[0,4]", 4), "\"F8_E4M3\" cannot be read"},
      {"NoShape", safetensors_bytes(R"({"weight":{"dtype":"F32","data_offsets":[0,4]}})", "1234"),
       "shape: expected a list"},
      {"NegativeExtent", one_tensor("F32", "[-1]", "[0,4]", 4), "\"weight\": shape: [-1]"},
      {"FractionalExtent", one_tensor("F32", "[1.0]", "[0,4]", 4), "shape: [1.0]"},
      {"ShapeOverflow", one_tensor("F32", "[4294967296,4294967296]", "[0,0]", 0), "too large"},
      {"ShapeOverflowWithZero", one_tensor("F32", "[4294967296,4294967296,0]", "[0,0]", 0),
       "too large"},
      {"ShapeOverflowBehindZero", one_tensor("F32", "[0,4294967296,4294967296]", "[0,0]", 0),
       "too large"},
      {"ShapeWrapsToData", one_tensor("F32", "[4611686018427387905]", "[0,4]", 4), "too large"},
      {"BytesWrapToData", one_tensor("F64", "[2305843009213693953]", "[0,8]", 8), "takes"},
      {"ExtentBeyondInt64", one_tensor("F32", "[18446744073709551615]", "[0,4]", 4), "too large"},
      {"SixDimensions", one_tensor("F32", "[1,1,1,1,1,1]", "[0,4]", 4), "6 dimensions"},
      {"WrongBytes", one_tensor("F32", "[2]", "[0,4]", 4), "4 bytes, but F32 [2] takes 8"},
      {"NegativeOffset", one_tensor("F32", "[1]", "[-4,0]", 4), "\"weight\": data_offsets"},
      {"ReversedOffsets", one_tensor("F32", "[1]", "[4,0]", 4), "\"weight\": data_offsets"},
      {"OneOffset", one_tensor("F32", "[1]", "[4]", 4), "\"weight\": data_offsets"},
      {"StringOffsets", one_tensor("F32", "[1]", R"(["0","4"])", 4), "\"weight\": data_offsets"},
      {"OffsetsAtTheEndOfNumbers",
       one_tensor("F32", "[1]", "[18446744073709551611,18446744073709551615]", 4), "a hole"},
      {"NulInName", safetensors_bytes(R"({"we\u0000ight":)" + good + "}", "1234"),
       "\"we\\x00ight\": the name is empty or has control characters"},
      {"EmptyName", safetensors_bytes(R"({"":)" + good + "}", "1234"), "the name is empty"},
      {"MetadataNoStrings", safetensors_bytes(R"({"__metadata__":{"format":1}})", ""),
       "__metadata__: \"format\""},
      {"MetadataList", safetensors_bytes(R"({"__metadata__":[]})", ""), "__metadata__: expected"},
  };
}

std::vector<Broken> broken_tilings() {
  const auto two = [](const std::string& first, const std::string& second, size_t bytes) {
    return safetensors_bytes(
        R"({"a":)" + entry("F32", "[1]", first) + R"(,"b":)" + entry("F32", "[1]", second) + "}",
        std::string(bytes, 'x'));
  };
  return {
      {"Overlap", two("[0,4]", "[2,6]", 6), "\"b\": data_offsets: begins at 2"},
      {"SamePlace", two("[0,4]", "[0,4]", 4), "an overlap"},
      {"Hole", two("[0,4]", "[8,12]", 12), "\"b\": data_offsets: begins at 8, which leaves a hole"},
      {"HoleAtTheStart", two("[4,8]", "[8,12]", 12), "\"a\": data_offsets: begins at 4"},
      {"Truncated", two("[0,4]", "[4,8]", 7), "\"b\": data_offsets: ends at 8, the data has 7"},
      {"BytesTooMany", two("[0,4]", "[4,8]", 9), "1 bytes after the last tensor"},
      {"BytesOfNoTensor", safetensors_bytes("{}", "x"), "1 bytes after the last tensor"},
  };
}

class BrokenFile : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenFile, IsRefusedByName) {
  const testing::ScratchFolder scratch;
  const auto path = scratch / "some.safetensors";
  put_content(path, GetParam().bytes);
  EXPECT_THAT(input_error_of([&] { SafetensorsFile{path}; }),
              AllOf(HasSubstr(path.string() + ": "), HasSubstr(GetParam().expected)));
}

const auto kNameOf = [](const auto& info) { return std::string(info.param.name); };
INSTANTIATE_TEST_SUITE_P(Header, BrokenFile, ::testing::ValuesIn(broken_headers()), kNameOf);
INSTANTIATE_TEST_SUITE_P(Tensor, BrokenFile, ::testing::ValuesIn(broken_tensors()), kNameOf);
INSTANTIATE_TEST_SUITE_P(Tiling, BrokenFile, ::testing::ValuesIn(broken_tilings()), kNameOf);

TEST(HostileSafetensors, DeepNestingIsRefusedBeforeItCostsMemory) {
  for (const std::string& open : {std::string("["), std::string("{\"a\":")}) {
    std::string header = "{\"a\":";
    for (int i = 0; i < 1'000'000; ++i) header += open;
    const std::string bytes = safetensors_bytes(header, "");
    EXPECT_THAT(input_error_of([&] { parse_safetensors_header(bytes, "f"); }),
                HasSubstr("f: JSON nested deeper than"));
  }
}

TEST(HostileSafetensors, AMillionProblemsAreCutShort) {
  std::string header = "{\"a0\":1";
  for (int i = 1; i < 100'000; ++i) header += ",\"a" + std::to_string(i) + "\":1";
  const std::string bytes = safetensors_bytes(header + "}", "");
  const std::string told = input_error_of([&] { parse_safetensors_header(bytes, "f"); });
  EXPECT_THAT(told, HasSubstr("and 99980 more problems"));
  EXPECT_LT(told.size(), 5000u);
}

TEST(HostileSafetensors, WhatIsNoFileIsRefused) {
  const testing::ScratchFolder scratch;
  const auto open = [](const std::filesystem::path& path) {
    return input_error_of([&] { SafetensorsFile{path}; });
  };
  EXPECT_THAT(open(scratch.path()),
              AllOf(HasSubstr(scratch.path().string()), HasSubstr("it is a folder")));
  EXPECT_THAT(open(scratch / "absent"), HasSubstr("absent: cannot be read: No such file"));
  EXPECT_THAT(open("/dev/zero"), HasSubstr("not a regular file"));
  const auto pipe = scratch / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(open(pipe), HasSubstr("not a regular file"));  // and does not wait for a writer
}

/// Flipped, inserted, removed and repeated bytes.
std::string mutated(std::string bytes, core::RandomStream& random) {
  const uint64_t changes = 1 + random.below(4);
  for (uint64_t i = 0; i < changes; ++i) {
    const size_t at = random.below(bytes.size());
    const auto byte = static_cast<char>(random.below(256));
    switch (random.below(5)) {
      case 0:
        bytes[at] = byte;
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
        break;
      case 2:
        bytes.insert(at, 1, "{}[]\",:0123456789-\\e."[random.below(21)]);
        break;
      case 3:
        bytes.erase(at, 1 + random.below(4));
        break;
      default:
        bytes.insert(at, bytes.substr(random.below(bytes.size()), random.below(32)));
    }
    if (bytes.empty()) bytes = "x";
  }
  return bytes;
}

TEST(HostileSafetensors, MutationsOfAValidFileNeverDoMoreThanThrow) {
  const std::string valid = safetensors_bytes(
      R"({"__metadata__":{"format":"pt"},"a":)" + entry("F32", "[2,3]", "[0,24]") + R"(,"b":)" +
          entry("BF16", "[4]", "[24,32]") + R"(,"c":)" + entry("I64", "[1]", "[32,40]") + "}",
      std::string(40, 'x'));
  ASSERT_EQ(parse_safetensors_header(valid, "valid").tensors.size(), 3u);
  core::RandomStream random({.seed = 17, .step = 0, .purpose = core::RandomPurpose::kTest});
  int refused = 0, accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string bytes = mutated(valid, random);
    try {
      const SafetensorsHeader header = parse_safetensors_header(bytes, "mutated");
      uint64_t next = 0;
      for (const StoredTensor& tensor : header.tensors) {
        ASSERT_EQ(tensor.begin, next);
        ASSERT_EQ(tensor.end - tensor.begin,
                  static_cast<uint64_t>(tensor.shape.elements()) * size_of(tensor.type));
        next = tensor.end;
      }
      ASSERT_EQ(next, bytes.size() - header.data_begin);
      ++accepted;
    } catch (const core::InputError& error) {
      ASSERT_THAT(error.what(), ::testing::StartsWith("mutated: "));
      ++refused;
    }
  }
  EXPECT_GT(refused, 10'000);
  EXPECT_GT(accepted, 100);  // changes of data and names
}

}  // namespace
}  // namespace longhaul::model
