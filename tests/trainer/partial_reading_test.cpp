// Resuming opens the files of a checkpoint that a rank needs, no others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "dist/mesh.h"
#include "dist/thread_communicator.h"
#include "kernels/core/error.h"
#include "tests/model/scratch_folder.h"
#include "tests/support/random_tensor.h"
#include "trainer/checkpoint_files.h"
#include "trainer/optimizer.h"

namespace longhaul::trainer {
namespace {

namespace fs = std::filesystem;
using testing::ScratchFolder;

constexpr int kRanks = 3;
constexpr int64_t kElements = 208;  // four buckets of 48, and one of 16 which is rank 0's

const std::vector<model::Parameter>& parameters() {
  static const std::vector<model::Parameter> list = {
      {.name = "a", .shape = {kElements}, .decay = true}};
  return list;
}

/// Element i of the first moment is i, of the second −i.
void number(const Optimizer& optimizer, double scale) {
  for (const Optimizer::Part& part : optimizer.parts()) {
    for (int64_t i = 0; i < part.first_moment.elements(); ++i) {
      part.first_moment.data<float>()[i] = static_cast<float>(scale * double(part.begin + i));
      part.second_moment.data<float>()[i] = static_cast<float>(-scale * double(part.begin + i));
    }
  }
}
void expect_numbers(const Optimizer& optimizer) {
  for (const Optimizer::Part& part : optimizer.parts()) {
    for (int64_t i = 0; i < part.first_moment.elements(); ++i) {
      ASSERT_EQ(part.first_moment.data<float>()[i], static_cast<float>(part.begin + i));
      ASSERT_EQ(part.second_moment.data<float>()[i], -static_cast<float>(part.begin + i));
    }
  }
}

class PartialReading : public ::testing::Test {
 protected:
  fs::path file(int rank) const { return written_ / optimizer_file(rank, kRanks); }

  /// By kRanks, in shards or whole; the manifest of what they wrote.
  CheckpointManifest write(bool sharded) {
    CheckpointManifest manifest{.mesh = {kRanks, 1}};
    dist::run_thread_ranks(kRanks, [&](dist::Communicator& group) {
      core::Context context({}, 1);
      model::ParameterSet set(context, core::DType::kF32, parameters());
      const Optimizer optimizer =
          sharded ? Optimizer(context, set, {}, group, optimizer_shards(kElements, kRanks, 1))
                  : Optimizer(context, set, {});
      number(optimizer, 1);
      TensorFile moments;
      core::DeviceReader reader(context);
      add_moments(moments, optimizer, group.rank(), kRanks, reader);
      moments.write(file(group.rank()));
      if (group.rank() == 0) manifest.moments = moment_layout(optimizer);
    });
    for (int rank = 0; rank < kRanks; ++rank) manifest.files.push_back(check_of(file(rank)));
    return manifest;
  }
  /// A folder with the files of some of the ranks.
  fs::path folder_of(const std::vector<int>& writers) {
    const fs::path folder = written_ / ("part-" + std::to_string(parts_++));
    fs::create_directory(folder);
    for (const int rank : writers) fs::copy(file(rank), folder / file(rank).filename());
    return folder;
  }

  ScratchFolder written_;
  int parts_ = 0;
};

TEST_F(PartialReading, OfTheSameShardsTakesTheOwnFile) {
  const CheckpointManifest manifest = write(true);
  const std::vector<fs::path> folders = {folder_of({0}), folder_of({1}), folder_of({2})};
  dist::run_thread_ranks(kRanks, [&](dist::Communicator& group) {
    core::Context context({}, 1);
    model::ParameterSet set(context, core::DType::kF32, parameters());
    Optimizer optimizer(context, set, {}, group, optimizer_shards(kElements, kRanks, 1));
    read_optimizer(folders[static_cast<size_t>(group.rank())], manifest, context, optimizer);
    expect_numbers(optimizer);
  });
}

TEST_F(PartialReading, OfOtherPartsTakesWhatOverlaps) {
  const CheckpointManifest manifest = write(false);  // [0, 69), [69, 138), [138, 208)
  const std::vector<fs::path> folders = {folder_of({0, 1}), folder_of({1, 2})};
  dist::run_thread_ranks(2, [&](dist::Communicator& group) {
    core::Context context({}, 1);
    model::ParameterSet set(context, core::DType::kF32, parameters());
    // Of 208 elements [0, 96) and [96, 192), and the last 16 for rank 0, which makes it need all.
    Optimizer optimizer(context, set, {}, group, optimizer_shards(kElements, 2, kElements));
    const fs::path& folder = folders[static_cast<size_t>(group.rank())];
    if (group.rank() == 0) {
      EXPECT_THROW(read_optimizer(folder, manifest, context, optimizer), core::InputError);
      return;
    }
    read_optimizer(folder, manifest, context, optimizer);
    expect_numbers(optimizer);
  });
}

TEST_F(PartialReading, WhoHoldsNothingNeedsNoFile) {
  const CheckpointManifest manifest = write(true);
  const fs::path empty = folder_of({}), all = folder_of({0, 1, 2});
  constexpr int kMany = 14;  // ranks; there are 13 blocks
  dist::run_thread_ranks(kMany, [&](dist::Communicator& group) {
    core::Context context({}, 1);
    model::ParameterSet set(context, core::DType::kF32, parameters());
    Optimizer optimizer(context, set, {}, group, optimizer_shards(kElements, kMany, 1));
    read_optimizer(group.rank() == 13 ? empty : all, manifest, context, optimizer);
    expect_numbers(optimizer);
  });
}

TEST_F(PartialReading, AnOlderCheckpointIsReadWhole) {
  CheckpointManifest manifest = write(true);
  manifest.moments = {};
  const fs::path own = folder_of({0}), all = folder_of({0, 1, 2});
  core::Context context({}, 1);
  model::ParameterSet set(context, core::DType::kF32, parameters());
  Optimizer optimizer(context, set, {});
  EXPECT_THROW(read_optimizer(own, manifest, context, optimizer), core::InputError);
  read_optimizer(all, manifest, context, optimizer);
  expect_numbers(optimizer);
}

/// Rows of one tensor, nothing else.
class Rows final : public InitialStateSource {
 public:
  explicit Rows(int64_t rows) : values_(static_cast<size_t>(2 * rows)) {}
  const model::RecurrentState& initial(const SourceStep&) override { return state_; }
  void keep(const SourceStep&, const model::RecurrentState&) override {}
  bool uses_final_states() const override { return false; }
  std::vector<NamedTensor> stored() override {
    const auto rows = static_cast<int64_t>(values_.size()) / 2;
    return {{"rows", {values_.data(), core::DType::kF32, {rows, 2}}, true}};
  }
  std::vector<float> values_;

 private:
  model::RecurrentState state_;
};

TEST(PartialReadingOfSources, TakesTheFilesWithTheOwnRows) {
  const ScratchFolder written;
  core::Context context({}, 1);
  core::DeviceReader reader(context);
  for (int rank = 0; rank < 3; ++rank) {  // two rows each
    Rows rows(2);
    for (size_t i = 0; i < 4; ++i) rows.values_[i] = static_cast<float>(4 * rank + int(i));
    TensorFile file;
    for (const auto& tensor : rows.stored()) file.add(tensor.name, tensor.view, reader);
    file.write(written / source_file(rank));
  }
  const auto folder_of = [&](const std::string& name, const std::vector<int>& writers) {
    fs::create_directory(written / name);
    for (const int rank : writers) {
      fs::copy(written / source_file(rank), written / name / source_file(rank));
    }
  };
  const CheckpointManifest manifest{.mesh = {3, 1}};
  const auto read = [&](int ranks, const std::string& prefix) {
    dist::run_thread_ranks(ranks, [&](dist::Communicator& group) {
      core::Context context({}, 1);
      const dist::Mesh mesh(group, {ranks, 1});
      const int64_t own = 6 / ranks;
      Rows rows(own);
      const fs::path folder = written / (prefix + std::to_string(group.rank()));
      ASSERT_TRUE(read_source(folder, manifest, mesh, context, rows));
      for (int64_t i = 0; i < 2 * own; ++i) {
        EXPECT_EQ(rows.values_[size_t(i)], float(2 * own * group.rank() + i));
      }
    });
  };
  for (const int rank : {0, 1, 2}) folder_of("same-" + std::to_string(rank), {rank});
  read(3, "same-");
  folder_of("two-0", {0, 1});
  folder_of("two-1", {1, 2});
  read(2, "two-");
}

}  // namespace
}  // namespace longhaul::trainer
