// Moments in shards (ZeRO-1): the same bits as whole ones, in a share of the memory, on any mesh
// and through checkpoints.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "dist/thread_communicator.h"
#include "kernels/core/error.h"
#include "model/checkpoint/safetensors.h"
#include "tests/model/full_disk.h"
#include "tests/model/scratch_folder.h"
#include "tests/support/random_tensor.h"
#include "tests/trainer/tiny_run.h"
#include "trainer/checkpoint_files.h"
#include "trainer/optimizer.h"

namespace longhaul::trainer {
namespace {

namespace fs = std::filesystem;
using testing::content_of;
using ::testing::HasSubstr;
using testing::names_in;
using testing::ScratchFolder;
using testing::timeless_metrics;
using testing::TinyRun;

TinyRun run_of(SourceKind source, dist::MeshShape mesh, bool sharded) {
  TinyRun run;
  run.config.initial_state = {.source = source, .zero_probability = 0.3};
  run.config.batch.accumulation = mesh.data == 4 ? 1 : 2;
  run.config.optimizer.clip = 0.5;
  run.config.shard_optimizer = sharded;
  run.mesh = mesh;
  run.dtype = core::DType::kF32;
  run.fresh_every = 5;
  return run;
}

/// The moments of a checkpoint as one buffer, whoever wrote them: name → values.
std::map<std::string, std::vector<double>> moments_of(const fs::path& checkpoint) {
  std::map<std::string, std::map<int64_t, std::vector<double>>> parts;
  for (const std::string& name : names_in(checkpoint)) {
    if (!is_optimizer_file(name)) continue;
    for (const auto& [tensor, values] : testing::tensors_of(checkpoint / name)) {
      const size_t dot = tensor.find('.');
      const int64_t begin = dot == std::string::npos ? 0 : std::stoll(tensor.substr(dot + 1));
      parts[tensor.substr(0, dot)][begin] = values;
    }
  }
  std::map<std::string, std::vector<double>> moments;
  for (const auto& [moment, pieces] : parts) {
    for (const auto& [begin, values] : pieces) {
      EXPECT_EQ(begin, static_cast<int64_t>(moments[moment].size()));
      moments[moment].insert(moments[moment].end(), values.begin(), values.end());
    }
  }
  return moments;
}

using Setting = std::tuple<SourceKind, std::pair<int, int>>;

class ShardedRun : public ::testing::TestWithParam<Setting> {};
INSTANTIATE_TEST_SUITE_P(
    Optimizer, ShardedRun,
    ::testing::Combine(::testing::Values(SourceKind::kZero, SourceKind::kNoise,
                                         SourceKind::kFittedNoise, SourceKind::kStatePassing,
                                         SourceKind::kTbtt),
                       ::testing::Values(std::pair{1, 1}, std::pair{2, 1}, std::pair{1, 2},
                                         std::pair{1, 3}, std::pair{2, 2}, std::pair{4, 1})),
    [](const auto& info) {
      const SourceKind source = std::get<0>(info.param);
      const auto& mesh = std::get<1>(info.param);
      return core::message(enum_names(source)[static_cast<size_t>(source)], "_data_", mesh.first,
                           "_sequence_", mesh.second);
    });

TEST_P(ShardedRun, HasTheBitsOfTheWholeOne) {
  const auto [source, mesh] = GetParam();
  const dist::MeshShape shape{mesh.first, mesh.second};
  const ScratchFolder whole, sharded;
  run_of(source, shape, false).train(whole.path());
  run_of(source, shape, true).train(sharded.path());
  EXPECT_EQ(timeless_metrics(sharded.path()), timeless_metrics(whole.path()));
  const fs::path expected = whole / "checkpoints/step-5", found = sharded / "checkpoints/step-5";
  for (const std::string& name : names_in(expected)) {
    if (is_optimizer_file(name) || name == "manifest.json") continue;
    EXPECT_EQ(content_of(found / name), content_of(expected / name)) << name;
  }
  EXPECT_EQ(moments_of(found), moments_of(expected));
  EXPECT_EQ(moments_of(found).size(), 2u);
}

TEST(ShardedCheckpoint, IsWrittenByEveryRankAndResumesBitForBit) {
  const ScratchFolder whole, parts;
  TinyRun run = run_of(SourceKind::kStatePassing, {2, 2}, true);
  run.train(whole.path());
  run.interrupt_at = 2;
  EXPECT_EQ(run.train(parts.path()), Ending::kInterrupted);
  EXPECT_THAT(names_in(parts / "checkpoints/step-2"),
              ::testing::IsSupersetOf({"optimizer-0.safetensors", "optimizer-1.safetensors",
                                       "optimizer-2.safetensors", "optimizer-3.safetensors"}));
  run.resume = true;
  run.interrupt_at = 0;
  EXPECT_EQ(run.train(parts.path()), Ending::kDone);
  EXPECT_EQ(timeless_metrics(parts.path()), timeless_metrics(whole.path()));
  for (const std::string& name : names_in(whole / "checkpoints/step-5")) {
    EXPECT_EQ(content_of(parts / "checkpoints/step-5/" / name),
              content_of(whole / "checkpoints/step-5/" / name))
        << name;
  }
}

/// Resumes with the moments held in another way; no bit may depend on it.
TEST(ShardedCheckpoint, ContinuesHoweverTheMomentsAreHeld) {
  struct Holding {
    bool sharded = false;
    int64_t bucket_bytes = 512;
  };
  const ScratchFolder whole;
  run_of(SourceKind::kTbtt, {2, 1}, false).train(whole.path());
  const std::vector<std::pair<Holding, Holding>> changes = {
      {{true}, {false}}, {{false}, {true}}, {{true, 256}, {true, 1024}}};
  for (const auto& [before, after] : changes) {
    const ScratchFolder parts;
    TinyRun run = run_of(SourceKind::kTbtt, {2, 1}, before.sharded);
    run.config.bucket_bytes = before.bucket_bytes;
    run.interrupt_at = 3;
    run.train(parts.path());
    run.config.shard_optimizer = after.sharded;
    run.config.bucket_bytes = after.bucket_bytes;
    run.resume = true;
    run.interrupt_at = 0;
    run.train(parts.path());
    EXPECT_EQ(timeless_metrics(parts.path()), timeless_metrics(whole.path()));
    EXPECT_EQ(content_of(parts / "checkpoints/step-5/model.safetensors"),
              content_of(whole / "checkpoints/step-5/model.safetensors"));
    EXPECT_EQ(moments_of(parts / "checkpoints/step-5"), moments_of(whole / "checkpoints/step-5"));
  }
}

TEST(ShardedCheckpoint, ContinuesOnAnotherWorld) {
  const ScratchFolder whole;
  TinyRun run = run_of(SourceKind::kTbtt, {1, 1}, true);
  run.dtype = core::DType::kF64;
  run.train(whole.path());
  const std::vector<std::pair<dist::MeshShape, dist::MeshShape>> changes = {
      {{2, 2}, {1, 1}}, {{1, 1}, {2, 2}}, {{1, 3}, {2, 1}}, {{2, 1}, {1, 4}}};
  for (const auto& [before, after] : changes) {
    const ScratchFolder parts;
    run.mesh = before;
    run.resume = false;
    run.interrupt_at = 3;
    run.train(parts.path());
    run.mesh = after;
    run.resume = true;
    run.interrupt_at = 0;
    run.train(parts.path());
    const auto expected = testing::metric(whole.path(), "loss");
    const auto found = testing::metric(parts.path(), "loss");
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-10) << i;
  }
}

/// The folder of a sharded checkpoint of two ranks whose manifest names what is there; and where it
/// says who wrote what, or does not, as in older ones.
class DamagedShards : public ::testing::TestWithParam<bool> {
 protected:
  DamagedShards() {
    run_.interrupt_at = 2;
    run_.train(folder_.path());
    run_.interrupt_at = 0;
    run_.resume = true;
  }
  fs::path shard(int rank) const {
    return folder_ / core::message("checkpoints/step-2/optimizer-", rank, ".safetensors");
  }
  /// Writes rank 1's shard anew, `change` applied to names, and lets the manifest agree.
  template <class Change>
  void rewrite(const Change& change) {
    const auto tensors = testing::tensors_of(shard(1));
    std::vector<std::vector<float>> values;
    std::vector<model::TensorToStore> stored;
    for (const auto& [name, doubles] : tensors) values.emplace_back(doubles.begin(), doubles.end());
    size_t i = 0;
    for (const auto& [name, doubles] : tensors) {
      auto& own = values[i++];
      const std::string new_name = change(name);
      if (new_name.empty()) continue;
      stored.push_back({new_name, {own.data(), core::DType::kF32, {int64_t(own.size())}}});
    }
    model::write_safetensors(shard(1), stored);
    rewrite_manifest([](CheckpointManifest&) {});
  }
  template <class Change>
  void rewrite_manifest(const Change& change) {
    const fs::path checkpoint = folder_ / "checkpoints/step-2";
    CheckpointManifest manifest = read_manifest(checkpoint);
    for (FileCheck& file : manifest.files) file = check_of(checkpoint / file.name);
    if (!GetParam()) manifest.moments = {};
    change(manifest);
    write_manifest(checkpoint, manifest);
  }
  std::string message() {
    return testing::input_error_of([&] { run_.train(folder_.path()); });
  }

  ScratchFolder folder_;
  TinyRun run_ = run_of(SourceKind::kZero, {2, 1}, true);
};

TEST_P(DamagedShards, AreLoadedWhereNothingIsWrong) {
  rewrite([](const std::string& name) { return name; });
  EXPECT_EQ(run_.train(folder_.path()), Ending::kDone);
}

TEST_P(DamagedShards, AHoleIsNamed) {
  rewrite([](const std::string& name) { return name == "second_moment.64" ? "" : name; });
  const std::string next = GetParam() ? "192" : "128";  // of its own file, of all
  EXPECT_THAT(message(), HasSubstr("tensor second_moment." + next + ": begins at element " + next +
                                   ", expected 64"));
}

TEST_P(DamagedShards, AnOverlapIsNamed) {
  rewrite(
      [](const std::string& name) { return name == "first_moment.64" ? "first_moment.32" : name; });
  EXPECT_THAT(message(), HasSubstr("optimizer-1.safetensors: tensor first_moment.32: begins at "
                                   "element 32, expected 64"));
}

TEST_P(DamagedShards, ANameWithoutAPlaceIsRefused) {
  for (const char* bad : {"first_moment.-64", "first_moment.6x", "first_moment64",
                          "first_moment.99999999999999999999", "first_moment."}) {
    rewrite([&](const std::string& name) {
      return name == "first_moment.64" || name.starts_with("first_moment") ? std::string() : name;
    });
    std::vector<float> values(64);
    model::write_safetensors(shard(1), {{bad, {values.data(), core::DType::kF32, {64}}}});
    rewrite_manifest([](CheckpointManifest&) {});
    EXPECT_THAT(message(), HasSubstr("expected first_moment or first_moment.BEGIN")) << bad;
  }
}

TEST_P(DamagedShards, AMissingShardIsNamed) {
  rewrite_manifest([](CheckpointManifest& manifest) {
    std::erase_if(manifest.files, [](const auto& f) { return f.name.ends_with("-1.safetensors"); });
  });
  EXPECT_THAT(message(),
              HasSubstr(GetParam() ? "names no optimizer-1.safetensors" : "begins at element"));
  rewrite_manifest([](CheckpointManifest& manifest) {
    std::erase_if(manifest.files, [](const auto& f) { return is_optimizer_file(f.name); });
  });
  EXPECT_THAT(message(), HasSubstr(GetParam() ? "names no optimizer-0.safetensors"
                                              : "names no optimizer file"));
}

/// Older manifests do not say how many there are.
class ShardsOfKnownLayout : public DamagedShards {};

TEST_P(ShardsOfKnownLayout, AnotherNumberOfElementsIsNamed) {
  rewrite_manifest([](CheckpointManifest& manifest) { manifest.moments.elements += 1; });
  EXPECT_THAT(message(), HasSubstr("manifest.json: moments.elements: is "));
}

INSTANTIATE_TEST_SUITE_P(Manifests, DamagedShards, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "with_layout" : "without"; });
INSTANTIATE_TEST_SUITE_P(Manifests, ShardsOfKnownLayout, ::testing::Values(true));

TEST(OptimizerFile, NamesAreTakenLiterally) {
  for (const char* good :
       {"optimizer.safetensors", "optimizer-0.safetensors", "optimizer-1023.safetensors"}) {
    EXPECT_TRUE(is_optimizer_file(good)) << good;
  }
  for (const char* bad : {"optimizer-.safetensors", "optimizer-1/../x.safetensors",
                          "optimizer--1.safetensors", "optimizer-1.safetensors.x", "optimizer",
                          "xoptimizer.safetensors", "optimizer-.safetensor"}) {
    EXPECT_FALSE(is_optimizer_file(bad)) << bad;
  }
}

/// Fewer blocks than ranks: some ranks own nothing, the norm and the step are the same.
TEST(ShardedOptimizer, WorksWhereSomeRanksOwnNothing) {
  const ScratchFolder folder;
  const std::vector<model::Parameter> list = {{.name = "a", .shape = {20}, .decay = true},
                                              {.name = "b", .shape = {5}, .decay = false}};
  core::Context context({}, 1);
  model::ParameterSet whole(context, core::DType::kF32, list);
  Optimizer reference(context, whole, {.clip = 0.1});
  const auto fill = [&](model::ParameterSet& set) {
    testing::assign(set.values(), testing::random_values(48, 1));
    testing::assign(set.gradients(), testing::random_values(48, 2));
  };
  fill(whole);
  const double norm = reference.step(0.1, true).gradient_norm;
  dist::run_thread_ranks(5, [&](dist::Communicator& group) {
    core::Context own({}, 1);
    model::ParameterSet set(own, core::DType::kF32, list);
    fill(set);
    Optimizer optimizer(own, set, {.clip = 0.1}, group, optimizer_shards(48, group.size(), 1));
    EXPECT_EQ(optimizer.step(0.1, true).gradient_norm, norm);
    EXPECT_EQ(testing::values_of(set.values()), testing::values_of(whole.values()));
    EXPECT_EQ(optimizer.parts().front().first_moment.elements(), group.rank() < 3 ? 16 : 0);
    const fs::path file = folder / optimizer_file(group.rank(), group.size());
    TensorFile moments;
    core::DeviceReader reader(own);
    add_moments(moments, optimizer, group.rank(), group.size(), reader);
    moments.write(file);
    EXPECT_EQ(testing::tensors_of(file).size(), group.rank() < 3 ? 2u : 0u);
  });
}

TEST(ShardedOptimizer, TakesAShareOfTheMemory) {
  constexpr int64_t kElements = 1 << 18;
  const std::vector<model::Parameter> list = {{.name = "a", .shape = {kElements}, .decay = true}};
  const auto bytes_of_moments = [&](int ranks) {
    int64_t most = 0;
    dist::run_thread_ranks(ranks, [&](dist::Communicator& group) {
      core::Context context({}, 1);
      model::ParameterSet set(context, core::DType::kF32, list);
      const int64_t before = context.pool().bytes_in_use();
      const Optimizer optimizer(context, set, {}, group,
                                optimizer_shards(kElements, group.size(), 1 << 14));
      if (group.rank() == 0) most = context.pool().bytes_in_use() - before;
    });
    return most;
  };
  EXPECT_EQ(bytes_of_moments(1), 2 * 4 * kElements);
  EXPECT_EQ(bytes_of_moments(2), 4 * kElements);
  EXPECT_EQ(bytes_of_moments(4), 2 * kElements);
}

TEST(NormBlock, DependsOnTheSizeAlone) {
  EXPECT_EQ(norm_block(0), 16);
  EXPECT_EQ(norm_block(1000), 16);
  EXPECT_EQ(norm_block(int64_t{1} << 30), 4096);
  EXPECT_EQ(norm_block(1'300'000'000), 8192);
}

}  // namespace
}  // namespace longhaul::trainer
