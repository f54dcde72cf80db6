#include "model/checkpoint/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/core/context.h"
#include "kernels/core/error.h"
#include "tests/model/safetensors_bytes.h"
#include "tests/model/scratch_folder.h"

namespace longhaul::model {
namespace {

using core::DType;
using core::Tensor;
using testing::bytes_of;
using testing::content_of;
using ::testing::HasSubstr;
using testing::input_error_of;
using testing::put_content;
using testing::safetensors_bytes;

class Safetensors : public ::testing::Test {
 protected:
  std::filesystem::path file() const { return scratch_ / "file.safetensors"; }

  core::Context context_{core::Device{}, 1};
  testing::ScratchFolder scratch_;
};

TEST_F(Safetensors, ReadsWhatTheFormatSaysByteByByte) {
  put_content(file(), safetensors_bytes(R"({"b":{"dtype":"I64","shape":[2],"data_offsets":[4,20]},)"
                                        R"("a":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},)"
                                        R"("__metadata__":{"format":"pt","k":"v"}}   )",
                                        bytes_of<float>({1.5f}) + bytes_of<int64_t>({-3, 7})));
  const SafetensorsFile opened(file());
  ASSERT_EQ(opened.tensors().size(), 2u);
  EXPECT_EQ(opened.tensors()[0].name, "a");  // order of the data, not of the header
  EXPECT_EQ(opened.tensors()[0].shape, (core::Shape{1, 1}));
  EXPECT_EQ(opened.metadata().at("k"), "v");
  EXPECT_EQ(opened.find("c"), nullptr);
  Tensor a(context_, DType::kF32, {1}), b(context_, DType::kI32, {2});
  opened.read_as(*opened.find("a"), a);
  opened.read_as(*opened.find("b"), b);
  EXPECT_EQ(a.data<float>()[0], 1.5f);
  EXPECT_EQ(b.data<int32_t>()[0], -3);
  EXPECT_EQ(b.data<int32_t>()[1], 7);
}

TEST_F(Safetensors, WritesWhatTheFormatSays) {
  const Tensor floats = Tensor::from<float>(context_, {1, -2, 0.5f}, {3});
  const Tensor wide = Tensor::from<double>(context_, {3.25}, {1, 1});
  write_safetensors(file(), {{"half", floats, StoredType::kBF16}, {"w", wide, StoredType::kF64}});
  const std::string bytes = content_of(file());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  EXPECT_EQ(length % 8, 0u);
  const auto header = nlohmann::json::parse(bytes.substr(8, length));
  EXPECT_EQ(header["__metadata__"]["format"], "pt");
  EXPECT_EQ(header["w"],
            nlohmann::json::parse(R"({"dtype":"F64","shape":[1,1],"data_offsets":[0,8]})"));
  EXPECT_EQ(header["half"],
            nlohmann::json::parse(R"({"dtype":"BF16","shape":[3],"data_offsets":[8,14]})"));
  EXPECT_EQ(bytes.substr(8 + length),
            bytes_of<double>({3.25}) + bytes_of<uint16_t>({0x3f80, 0xc000, 0x3f00}));
}

TEST_F(Safetensors, RoundTripsEveryBit) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {0.0f,     -0.0f,     1e-45f, -1.17549435e-38f, 3.4e38f,
                                     infinity, -infinity, 0.1f,   std::nanf("7")};
  const Tensor floats = Tensor::from(context_, values, {3, 3});
  const Tensor integers = Tensor::from<int32_t>(context_, {-2147483648, 2147483647}, {2, 1});
  const Tensor nothing(context_, DType::kF32, {0, 4});
  write_safetensors(file(),
                    {{"f", floats, StoredType::kF32},
                     {"i32", integers, StoredType::kI32},
                     {"i64", integers, StoredType::kI64},
                     {"none", nothing, StoredType::kF32},
                     {"f64", floats, StoredType::kF64}},
                    {{"made", "by a test"}});
  const SafetensorsFile opened(file());
  EXPECT_EQ(opened.metadata().at("made"), "by a test");
  EXPECT_EQ(opened.metadata().at("format"), "pt");
  for (const char* name : {"f", "f64"}) {
    Tensor back(context_, DType::kF32, {9});
    opened.read_as(*opened.find(name), back);
    EXPECT_EQ(std::memcmp(back.data<float>(), values.data(), 36), 0) << name;
  }
  for (const char* name : {"i32", "i64"}) {
    Tensor back(context_, DType::kI32, {2});
    opened.read_as(*opened.find(name), back);
    EXPECT_EQ(back.data<int32_t>()[0], -2147483648) << name;
    EXPECT_EQ(back.data<int32_t>()[1], 2147483647) << name;
  }
  EXPECT_EQ(opened.find("none")->shape, (core::Shape{0, 4}));
}

TEST_F(Safetensors, RoundTripsPiecesLargerThanTheWritersBuffer) {
  const int64_t count = (int64_t{1} << 19) + 3;
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 251);
  const Tensor tensor = Tensor::from(context_, values, {count});
  write_safetensors(file(), {{"t", tensor, StoredType::kBF16}});
  Tensor back(context_, DType::kF32, {count});
  const SafetensorsFile opened(file());
  opened.read_as(*opened.find("t"), back);
  EXPECT_EQ(std::memcmp(back.data<float>(), values.data(), values.size() * 4), 0);
}

TEST_F(Safetensors, RefusesValuesThatDoNotFit) {
  put_content(file(),
              safetensors_bytes(R"({"t":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}})",
                                bytes_of<int64_t>({1, int64_t{1} << 31})));
  const SafetensorsFile opened(file());
  Tensor target(context_, DType::kI32, {2}), floats(context_, DType::kF32, {2}),
      small(context_, DType::kI32, {1});
  EXPECT_THAT(input_error_of([&] { opened.read_as(*opened.find("t"), target); }),
              AllOf(HasSubstr("file.safetensors"), HasSubstr("\"t\""), HasSubstr("element 1"),
                    HasSubstr("2147483648")));
  EXPECT_THAT(input_error_of([&] { opened.read_as(*opened.find("t"), floats); }),
              HasSubstr("I64, which is not read as fp32"));
  EXPECT_THAT(input_error_of([&] { opened.read_as(*opened.find("t"), small); }),
              HasSubstr("is [2], expected [1]"));
}

TEST_F(Safetensors, RefusesToStoreWhatHalfCannotHoldAndKeepsTheOldFile) {
  put_content(file(), "before");
  const Tensor large = Tensor::from<float>(context_, {1, 65519, 65520}, {3});
  EXPECT_THAT(input_error_of([&] {
                write_safetensors(file(), {{"big", large, StoredType::kF16}});
              }),
              AllOf(HasSubstr("\"big\""), HasSubstr("element 2 is 65520"), HasSubstr("F16")));
  EXPECT_EQ(content_of(file()), "before");
  const auto entries = std::distance(std::filesystem::directory_iterator(scratch_.path()),
                                     std::filesystem::directory_iterator());
  EXPECT_EQ(entries, 1) << "a partial file was left behind";
}

TEST_F(Safetensors, MovedFileStaysReadable) {
  const Tensor tensor = Tensor::from<float>(context_, {4}, {1});
  write_safetensors(file(), {{"t", tensor, StoredType::kF32}});
  SafetensorsFile first(file());
  const SafetensorsFile second(std::move(first));
  Tensor back(context_, DType::kF32, {1});
  second.read_as(*second.find("t"), back);
  EXPECT_EQ(back.data<float>()[0], 4.0f);
}

}  // namespace
}  // namespace longhaul::model
