// Files of torch.save: what they hold, and what is refused.
#include "model/checkpoint/torch/torch_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "kernels/core/random.h"
#include "model/checkpoint/torch/torch_file.h"
#include "tests/model/safetensors_bytes.h"
#include "tests/model/scratch_folder.h"
#include "tests/model/torch_bytes.h"

namespace longhaul::model {
namespace {

using testing::bytes_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::input_error_of;
using testing::number_bytes;
using testing::pickled_dict;
using testing::pickled_tensor;
using testing::pickled_text;
using testing::TensorToPickle;
using testing::torch_bytes;

std::vector<float> floats_of(const TorchTensor& tensor, const std::string& file, int64_t begin,
                             int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  tensor.pick(std::string_view(file).substr(tensor.first_byte(), tensor.bytes()), begin, count,
              values.data());
  return values;
}

std::vector<float> counting(size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

TEST(TorchArchive, TypesAndShapes) {
  const std::string file =
      torch_bytes(pickled_dict({{"a", "FloatStorage", "0", 6, 0, {2, 3}, {3, 1}},
                                {"b", "HalfStorage", "1", 2, 0, {2}, {1}},
                                {"c", "BFloat16Storage", "2", 1, 0, {}, {}},
                                {"d", "DoubleStorage", "3", 0, 0, {0, 4}, {4, 1}},
                                {"e", "LongStorage", "4", 1, 0, {1}, {1}}}),
                  {bytes_of(counting(6)), "1234", "12", "", "12345678"});
  const auto tensors = parse_torch_archive(file, "f");
  ASSERT_EQ(tensors.size(), 5u);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_EQ(tensors[0].shape, core::Shape({2, 3}));
  EXPECT_THAT(floats_of(tensors[0], file, 0, 6), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(floats_of(tensors[0], file, 4, 2), ElementsAre(4, 5));
  EXPECT_EQ(tensors[1].type, StoredType::kF16);
  EXPECT_EQ(tensors[2].type, StoredType::kBF16);
  EXPECT_EQ(tensors[2].shape.elements(), 1);
  EXPECT_EQ(tensors[3].type, StoredType::kF64);
  EXPECT_EQ(tensors[4].type, StoredType::kI64);
}

TEST(TorchArchive, StridesAndOffsetsAreHonoured) {
  const std::string file =
      torch_bytes(pickled_dict({{"transposed", "FloatStorage", "0", 12, 0, {3, 2}, {1, 3}},
                                {"columns", "FloatStorage", "0", 12, 1, {3, 2}, {4, 2}},
                                {"expanded", "FloatStorage", "0", 12, 7, {2, 3}, {0, 1}},
                                {"one", "FloatStorage", "0", 12, 11, {1, 1}, {99, 99}}}),
                  {bytes_of(counting(12))});
  const auto tensors = parse_torch_archive(file, "f");
  EXPECT_THAT(floats_of(tensors[0], file, 0, 6), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(floats_of(tensors[0], file, 3, 2), ElementsAre(4, 2));
  EXPECT_THAT(floats_of(tensors[1], file, 0, 6), ElementsAre(1, 3, 5, 7, 9, 11));
  EXPECT_THAT(floats_of(tensors[2], file, 0, 6), ElementsAre(7, 8, 9, 7, 8, 9));
  EXPECT_THAT(floats_of(tensors[3], file, 0, 1), ElementsAre(11));
}

TEST(TorchArchive, NewerProtocolsParametersAndMetadata) {
  const TensorToPickle tensor{"w", "FloatStorage", "0", 2, 0, {2}, {1}};
  const std::string parameter = "ctorch._utils\n_rebuild_parameter\n(" + pickled_tensor(tensor) +
                                "\x88"
                                "ccollections\nOrderedDict\n)RtR";
  const std::string pickle = "\x80\x04\x95" + number_bytes<uint64_t>(9) +
                             "\x8c\x0b"
                             "collections\x94\x8c\x0bOrderedDict" +
                             "\x94\x93\x94)R\x94(\x8c\x01w" + parameter + "u}(" +
                             pickled_text("_metadata") + "ccollections\nOrderedDict\n)R(" +
                             pickled_text("") + "}" + pickled_text("version") + "K\x01suub.";
  const std::string file = torch_bytes(pickle, {bytes_of(counting(2))});
  const auto tensors = parse_torch_archive(file, "f");
  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_THAT(floats_of(tensors[0], file, 0, 2), ElementsAre(0, 1));
}

struct Broken {
  const char* name;
  std::string bytes;
  const char* expected;
};

std::string with_tensor(const TensorToPickle& tensor) {
  return torch_bytes(pickled_dict({tensor}), {bytes_of(counting(6))});
}

std::string with_pickle(const std::string& pickle) {
  return torch_bytes("\x80\x02" + pickle, {bytes_of(counting(6))});
}

std::vector<Broken> broken_tensors() {
  const int64_t huge = int64_t{1} << 62;
  return {
      {"OffsetBeyondStorage", with_tensor({"w", "FloatStorage", "0", 6, 1, {6}, {1}}),
       "tensor \"w\": reaches to element 6 of a storage of 6"},
      {"StrideBeyondStorage", with_tensor({"w", "FloatStorage", "0", 6, 0, {2, 2}, {5, 1}}),
       "reaches to element 6"},
      {"NegativeOffset", with_tensor({"w", "FloatStorage", "0", 6, -1, {2}, {1}}),
       "offset, shape or strides are not understood"},
      {"NegativeStride", with_tensor({"w", "FloatStorage", "0", 6, 5, {2}, {-1}}),
       "offset, shape or strides are not understood"},
      {"RanksDiffer", with_tensor({"w", "FloatStorage", "0", 6, 0, {2, 3}, {1}}),
       "offset, shape or strides are not understood"},
      {"ElementsOverflow", with_tensor({"w", "FloatStorage", "0", 6, 0, {huge, huge}, {0, 0}}),
       "too large"},
      {"OverflowBehindZero", with_tensor({"w", "FloatStorage", "0", 6, 0, {0, huge, 8}, {0, 0, 0}}),
       "too large"},
      {"StridesOverflow", with_tensor({"w", "FloatStorage", "0", 6, 0, {3, 3}, {huge, huge}}),
       "too large"},
      {"SixDimensions",
       with_tensor({"w", "FloatStorage", "0", 6, 0, {1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1}}),
       "has 6 dimensions"},
      {"StorageLies", with_tensor({"w", "FloatStorage", "0", 7, 0, {6}, {1}}),
       "its storage has 24 bytes, but 7 elements of F32"},
      {"StorageWraps", with_tensor({"w", "FloatStorage", "0", huge + 6, 0, {6}, {1}}),
       "its storage has 24 bytes"},
      {"StorageOfAnotherType", with_tensor({"w", "HalfStorage", "0", 6, 0, {6}, {1}}),
       "its storage has 24 bytes, but 6 elements of F16"},
      {"NoStorage", with_tensor({"w", "FloatStorage", "7", 6, 0, {6}, {1}}),
       "its storage \"7\" is missing"},
      {"StorageOutside", with_tensor({"w", "FloatStorage", "../data.pkl", 6, 0, {6}, {1}}),
       "is missing"},
      {"Bytes", with_tensor({"w", "ByteStorage", "0", 24, 0, {6}, {1}}), "is of torch.ByteStorage"},
      {"NoName", with_tensor({"", "FloatStorage", "0", 6, 0, {6}, {1}}), "its name is"},
      {"ControlCharacter", with_tensor({"a\nb", "FloatStorage", "0", 6, 0, {6}, {1}}),
       "its name is"},
      {"Twice",
       torch_bytes(pickled_dict({{"w", "FloatStorage", "0", 6, 0, {6}, {1}},
                                 {"w", "FloatStorage", "0", 6, 0, {6}, {1}}}),
                   {bytes_of(counting(6))}),
       "tensor \"w\": is there twice"},
      {"NoTensor", with_pickle("}" + pickled_text("epoch") + "K\x03s."),
       "tensor \"epoch\": is an integer, expected a tensor"},
  };
}

std::vector<Broken> broken_pickles() {
  std::string nested = "(";
  for (int i = 0; i < 300'000; ++i) nested += ")\x85";
  return {
      {"System", with_pickle("cos\nsystem\n(" + pickled_text("rm -rf ~") + "tR."),
       "names \"os.system\""},
      {"Eval", with_pickle("c__builtin__\neval\n(" + pickled_text("1") + "tR."),
       "names \"__builtin__.eval\""},
      {"StackGlobal", with_pickle("\x8c\x02os\x8c\x06system\x93."), "names \"os.system\""},
      {"NameWithDots", with_pickle("ctorch\n_utils._rebuild_tensor_v2\n."), ""},
      {"Instance", with_pickle("(ios\nsystem\n."), "opcode 105"},
      {"Extension", with_pickle("\x82\x01."), "opcode 130"},
      {"NameWithoutEnd", with_pickle("c" + std::string(4000, 'a')), "a name without end"},
      {"Empty", torch_bytes("", {}), "the pickle is cut off"},
      {"CutOff", with_pickle(pickled_text("abc").substr(0, 6)), "cut off"},
      {"HugeText", with_pickle("X\xff\xff\xff\xff"), "a text of 4294967295 bytes"},
      {"HugeInteger", with_pickle("\x8a\xff" + std::string(255, '\1') + "."),
       "an integer of 255 bytes"},
      {"NothingLeft", with_pickle("."), "a value is missing"},
      {"BelowTheMark", with_pickle("N(\x85."), "a value is missing"},
      {"NoMark", with_pickle("Nt."), "a mark is missing"},
      {"TooMuchLeft", with_pickle("NN."), "before all values are used"},
      {"MarkLeft",
       with_pickle("N("
                   "N."),
       ""},
      {"NoSuchMemo", with_pickle("h\x05."), "no value number 5"},
      {"KeyWithoutValue", with_pickle("}(Nu."), "a key without a value"},
      {"SetInAList", with_pickle("]NNs."), "adding to a list, expected a dict"},
      {"AppendToDict", with_pickle("}Na."), "appending to a dict"},
      {"CallsNothing", with_pickle("N)R."), "calls None"},
      {"CallsWithNothing", with_pickle("ccollections\nOrderedDict\nNR."), ""},
      {"OrderedDictOfItems", with_pickle("ccollections\nOrderedDict\n]\x85R."),
       "calls collections.OrderedDict with 1 arguments"},
      {"BuildsNothing", with_pickle("N}b."), "sets attributes of None"},
      {"ShortPersistentId", with_pickle("N\x85Q."), "persistent id"},
      {"RootIsAList", with_pickle("]."), "is a list, expected a dictionary of tensors"},
      {"OldProtocol", torch_bytes("\x80\x01}.", {}), "protocol 1"},
      {"DeepNesting", with_pickle(nested), ""},
      {"ManyValues", with_pickle(std::string(600'000, 'N')), "more than 500000 values"},
      {"ManyMarks", with_pickle(std::string(1'000'000, '(')), "cut off"},
  };
}

std::vector<Broken> broken_archives() {
  using testing::zip_bytes;
  const std::string good = with_tensor({"w", "FloatStorage", "0", 6, 0, {6}, {1}});
  const auto changed = [&](size_t from_end, const std::string& bytes) {
    std::string result = good;
    return result.replace(good.size() - from_end, bytes.size(), bytes);
  };
  return {
      {"Legacy", "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", "before 1.6"},
      {"NoArchive", "hello", "does not begin as a zip archive"},
      {"Nothing", "", "does not begin as a zip archive"},
      {"Truncated", good.substr(0, good.size() - 1), "its end is missing"},
      {"OnlyTheStart", "PK\3\4", "its end is missing"},
      {"NoPickle", zip_bytes({{"archive/version", "3\n"}}), "has no data.pkl"},
      {"PickleAtTheTop", zip_bytes({{"data.pkl", "}."}}), "has no data.pkl"},
      {"Script", zip_bytes({{"constants.pkl", ""}}), "TorchScript"},
      {"Compressed", zip_bytes({{"archive/data.pkl", "}.", 8}}), "is compressed (method 8)"},
      {"Encrypted", zip_bytes({{"archive/data.pkl", "}.", 0, 1}}), "is encrypted"},
      {"BigEndian", zip_bytes({{"a/data.pkl", "}."}, {"a/byteorder", "big"}}), "big-endian"},
      {"EntryTwice", zip_bytes({{"a/data.pkl", "}."}, {"a/data.pkl", "}."}}), "is there twice"},
      {"DirectoryBeyondEnd", changed(6, number_bytes<uint32_t>(0x7fffffff)), "beyond its end"},
      {"DirectoryTooShort", changed(10, number_bytes<uint32_t>(10)), "is missing"},
      {"MoreEntries", changed(12, number_bytes<uint16_t>(77)), "entry 4"},
      {"FewerEntries", changed(12, number_bytes<uint16_t>(1)), "its end says"},
      {"SeveralParts", changed(18, number_bytes<uint16_t>(1)), "in several parts"},
      {"No64BitEnd", changed(6, number_bytes<uint32_t>(0xffffffff)), "64-bit end is missing"},
  };
}

class BrokenTorchFile : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenTorchFile, IsRefusedByName) {
  EXPECT_THAT(input_error_of([] { parse_torch_archive(GetParam().bytes, "some.bin"); }),
              AllOf(::testing::StartsWith("some.bin: "), HasSubstr(GetParam().expected)));
}

const auto kNameOf = [](const auto& info) { return std::string(info.param.name); };
INSTANTIATE_TEST_SUITE_P(Tensor, BrokenTorchFile, ::testing::ValuesIn(broken_tensors()), kNameOf);
INSTANTIATE_TEST_SUITE_P(Pickle, BrokenTorchFile, ::testing::ValuesIn(broken_pickles()), kNameOf);
INSTANTIATE_TEST_SUITE_P(Archive, BrokenTorchFile, ::testing::ValuesIn(broken_archives()), kNameOf);

TEST(TorchArchive, ProblemsAreToldTogether) {
  const std::string file = torch_bytes(pickled_dict({{"a", "FloatStorage", "0", 6, 3, {6}, {1}},
                                                     {"b", "ByteStorage", "0", 24, 0, {6}, {1}},
                                                     {"c", "FloatStorage", "9", 6, 0, {6}, {1}}}),
                                       {bytes_of(counting(6))});
  EXPECT_THAT(input_error_of([&] { parse_torch_archive(file, "f"); }),
              AllOf(HasSubstr("\"a\": reaches"), HasSubstr("\"b\": is of torch.ByteStorage"),
                    HasSubstr("\"c\": its storage")));
}

TEST(TorchArchive, ChangedBytesNeverDoMoreThanThrow) {
  const std::string valid =
      torch_bytes(pickled_dict({{"a", "FloatStorage", "0", 6, 0, {3, 2}, {1, 3}},
                                {"b", "HalfStorage", "1", 2, 1, {1}, {1}}}),
                  {bytes_of(counting(6)), "1234"});
  core::RandomStream random({.seed = 3, .step = 0, .purpose = core::RandomPurpose::kTest});
  int refused = 0, accepted = 0;
  for (int i = 0; i < 30'000; ++i) {
    std::string bytes = valid;
    const uint64_t changes = 1 + random.below(3);
    for (uint64_t n = 0; n < changes; ++n) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    }
    try {
      for (const TorchTensor& tensor : parse_torch_archive(bytes, "f")) {
        const int64_t count = std::min<int64_t>(tensor.shape.elements(), 100);
        std::vector<char> values(static_cast<size_t>(count) * 8);
        tensor.pick(std::string_view(bytes).substr(tensor.first_byte(), tensor.bytes()),
                    tensor.shape.elements() - count, count, values.data());
      }
      ++accepted;
    } catch (const core::InputError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 10'000);
  EXPECT_GT(accepted, 100);
}

TEST(TorchFile, OverlapsAreFound) {
  const testing::ScratchFolder scratch;
  testing::put_content(scratch / "m.bin",
                       torch_bytes(pickled_dict({{"a", "FloatStorage", "0", 6, 0, {6}, {1}},
                                                 {"tied", "FloatStorage", "0", 6, 0, {6}, {1}},
                                                 {"part", "FloatStorage", "0", 6, 4, {2}, {1}},
                                                 {"left", "FloatStorage", "1", 6, 0, {3}, {1}},
                                                 {"right", "FloatStorage", "1", 6, 3, {3}, {1}}}),
                                   {bytes_of(counting(6)), bytes_of(counting(6))}));
  const TorchFile file(scratch / "m.bin");
  ASSERT_EQ(file.aliases().size(), 2u);
  EXPECT_EQ(file.aliases()[0].first + file.aliases()[0].second, "atied");
  EXPECT_TRUE(file.aliases()[0].is_same);
  EXPECT_EQ(file.aliases()[1].second, "part");
  EXPECT_FALSE(file.aliases()[1].is_same);
}

}  // namespace
}  // namespace longhaul::model
