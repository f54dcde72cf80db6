// Weights of a checkpoint that several ranks write, each its files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "tests/model/full_disk.h"
#include "tests/model/scratch_folder.h"
#include "tests/trainer/tiny_run.h"
#include "trainer/checkpoint_copy.h"
#include "trainer/training_checkpoint.h"

namespace longhaul::trainer {
namespace {

using testing::content_of;
using ::testing::HasSubstr;
using testing::names_in;
using testing::put_content;
using testing::ScratchFolder;
using testing::tensors_of;
using testing::TinyRun;

std::vector<model::TensorStream> tensors_of_bytes(const std::vector<int64_t>& sizes) {
  std::vector<model::TensorStream> tensors;
  for (const int64_t bytes : sizes) {
    tensors.push_back({.name = core::message("t", tensors.size()),
                       .shape = {bytes / 4},
                       .type = model::StoredType::kF32,
                       .origin = "",
                       .read = nullptr});
  }
  return tensors;
}

std::vector<size_t> ends(const std::vector<int64_t>& sizes, int64_t shard_bytes, int ranks) {
  std::vector<size_t> all;
  for (const auto& file : shared_weight_files(tensors_of_bytes(sizes), shard_bytes, ranks)) {
    all.push_back(file.end);
  }
  return all;
}

TEST(SharedWeights, AreSpreadByTheirSize) {
  const std::vector<int64_t> even(8, 100);
  EXPECT_EQ(ends(even, 1, 4), (std::vector<size_t>{2, 4, 6, 8}));
  EXPECT_EQ(ends(even, 1, 1), (std::vector<size_t>{8}));
  EXPECT_EQ(ends(even, 400, 4), (std::vector<size_t>{4, 8}));  // two ranks have enough to write
  EXPECT_EQ(ends(even, 10000, 4), (std::vector<size_t>{8}));
  EXPECT_EQ(ends({1000, 100, 100}, 1, 3), (std::vector<size_t>{1, 3}));  // none is split
}

TEST(SharedWeights, EveryFileHasOneWriterAndTheWritersAreSpread) {
  EXPECT_EQ(writer_of(0, 1, 8), 0);
  std::set<int> writers;
  for (size_t i = 0; i < 4; ++i) writers.insert(writer_of(i, 4, 8));
  EXPECT_EQ(writers, (std::set<int>{0, 2, 4, 6}));
  for (size_t i = 0; i < 9; ++i) EXPECT_LT(writer_of(i, 9, 4), 4);
}

TinyRun run_in_shards(double shard_mib) {
  TinyRun run;
  run.mesh = {2, 2};
  run.dtype = core::DType::kF32;
  run.config.checkpoint.shard_mib = shard_mib;
  return run;
}

TEST(SharedWeights, HoldWhatOneFileHolds) {
  const ScratchFolder one, many;
  run_in_shards(64).train(one.path());
  run_in_shards(1e-4).train(many.path());
  const auto expected = tensors_of(one / "checkpoints/step-5/model.safetensors");
  std::map<std::string, std::vector<double>> found;
  int files = 0;
  for (const std::string& name : names_in(many / "checkpoints/step-5")) {
    if (!name.starts_with("model-")) continue;
    ++files;
    for (auto& [tensor, values] : tensors_of(many / ("checkpoints/step-5/" + name))) {
      EXPECT_TRUE(found.emplace(tensor, values).second) << tensor << " is in two files";
    }
  }
  EXPECT_GE(files, 3);
  EXPECT_EQ(found, expected);
  verify_checkpoint(many / "checkpoints/step-5");
}

TEST(SharedWeights, AreResumedFromOnAnyMesh) {
  const ScratchFolder whole, parts;
  TinyRun run = run_in_shards(1e-4);
  run.train(whole.path());
  run.interrupt_at = 2;
  run.train(parts.path());
  run.interrupt_at = 0;
  run.resume = true;
  run.train(parts.path());
  for (const std::string& name : names_in(whole / "checkpoints/step-5")) {
    EXPECT_EQ(content_of(parts / ("checkpoints/step-5/" + name)),
              content_of(whole / ("checkpoints/step-5/" + name)))
        << name;
  }
}

TEST(SharedWeights, ADamagedOneIsNamed) {
  const ScratchFolder folder;
  run_in_shards(1e-4).train(folder.path());
  std::string shard;
  for (const std::string& name : names_in(folder / "checkpoints/step-5")) {
    if (name.starts_with("model-")) shard = name;  // the last: no rank 0's
  }
  std::string bytes = content_of(folder / ("checkpoints/step-5/" + shard));
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  put_content(folder / ("checkpoints/step-5/" + shard), bytes);
  EXPECT_THAT(testing::input_error_of([&] { verify_checkpoint(folder / "checkpoints/step-5"); }),
              HasSubstr(shard + ": is damaged"));
}

}  // namespace
}  // namespace longhaul::trainer
