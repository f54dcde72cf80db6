// Files of weights that are cut off while they are read, and headers longer than what is read
// first.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <vector>

#include "kernels/core/error.h"
#include "model/checkpoint/gguf/gguf_file.h"
#include "model/checkpoint/gguf/gguf_writer.h"
#include "model/checkpoint/safetensors_tensors.h"
#include "model/checkpoint/torch/torch_file.h"
#include "model/checkpoint/torch/torch_writer.h"
#include "tests/model/scratch_folder.h"

namespace longhaul::model {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::ScratchFolder;

constexpr int64_t kElements = 600'000;  // several pieces

TensorStream counting() {
  TensorStream stream{.name = "t", .shape = {kElements}, .type = StoredType::kF32, .origin = "t"};
  stream.read = [](int64_t begin, int64_t count, void* target) {
    auto* values = static_cast<float*>(target);
    std::iota(values, values + count, static_cast<float>(begin));
  };
  return stream;
}

/// Reads all, cuts the file off, and reads again.
void expect_error_where_cut(const TensorFile& file, const std::filesystem::path& path) {
  std::vector<float> values(kElements);
  const core::TensorView view(values.data(), core::DType::kF32, {kElements});
  read_whole(file.tensors().front(), view);
  for (const int64_t i : {int64_t{0}, kElements / 2, kElements - 1}) {
    EXPECT_EQ(values[static_cast<size_t>(i)], static_cast<float>(i));
  }
  std::filesystem::resize_file(path, 1'500'000);
  try {
    read_whole(file.tensors().front(), view);
    ADD_FAILURE() << "expected an Error";
  } catch (const core::Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr(path.string()), HasSubstr("ends at byte 1500000")));
  }
}

TEST(ShrinkingFile, Safetensors) {
  const ScratchFolder scratch;
  const auto path = scratch / "m.safetensors";
  write_tensor_streams(path, {counting()});
  expect_error_where_cut(SafetensorsTensors(path), path);
}

TEST(ShrinkingFile, Torch) {
  const ScratchFolder scratch;
  const auto path = scratch / "m.bin";
  write_torch_file(path, {counting()}, {}, {});
  expect_error_where_cut(TorchFile(path), path);
}

TEST(ShrinkingFile, GgufWithALongHeader) {
  const ScratchFolder scratch;
  const auto path = scratch / "m.gguf";
  GgufKeys keys;
  const std::string text(1'200'000, 'x');
  keys.string("long", text);
  write_gguf_file(path, keys, {{counting(), GgufTensorType::kF32}}, {});
  const GgufFile file(path);
  EXPECT_EQ(file.header().values.at("long").text, text);
  expect_error_where_cut(file, path);
}

}  // namespace
}  // namespace longhaul::model
