// A run that goes on from mesh to mesh is the run that stayed on one, but for the rounding of sums:
// the same samples, each once; optimizer shards, state buffers and noise statistics follow.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "tests/model/scratch_folder.h"
#include "tests/support/compare.h"
#include "tests/trainer/tiny_run.h"

namespace longhaul::trainer {
namespace {

using testing::metric;
using testing::ScratchFolder;
using testing::TinyRun;

struct Setting {
  SourceKind source;
  bool shard_optimizer;
  bool recall;
};

class WorldSize : public ::testing::TestWithParam<Setting> {};

std::vector<Setting> settings() {
  std::vector<Setting> all;
  for (const SourceKind source : {SourceKind::kZero, SourceKind::kNoise, SourceKind::kFittedNoise,
                                  SourceKind::kStatePassing, SourceKind::kTbtt}) {
    all.push_back({source, true, false});
    all.push_back({source, false, true});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Sources, WorldSize, ::testing::ValuesIn(settings()), [](const auto& info) {
  const Setting& s = info.param;
  return core::message(enum_names(s.source)[static_cast<size_t>(s.source)],
                       s.shard_optimizer ? "_shards" : "_whole", s.recall ? "_recall" : "_stream");
});

using Row = std::vector<int32_t>;

/// Rows of tokens in the order of the global batches.
class Samples {
 public:
  void add(int data_rank, const data::Batch& batch) {
    for (int64_t row = 0; row < batch.sequences; ++row) {
      const auto begin = batch.tokens.begin() + row * batch.length;
      read_[data_rank].emplace_back(begin, begin + batch.length);
    }
  }
  /// Takes what has been read since, by data ranks that read `rows` each at a time.
  void end_of_part(int64_t rows) {
    for (size_t next = 0; next < read_[0].size(); next += static_cast<size_t>(rows)) {
      for (const auto& [rank, own] : read_) {
        const auto begin = own.begin() + static_cast<std::ptrdiff_t>(next);
        ordered_.insert(ordered_.end(), begin, begin + rows);
      }
    }
    read_.clear();
  }
  const std::vector<Row>& ordered() const { return ordered_; }

 private:
  std::map<int, std::vector<Row>> read_;
  std::vector<Row> ordered_;
};

TEST_P(WorldSize, MayChangeFromResumptionToResumption) {
  constexpr int64_t kRowsAtOnce = 4;
  TinyRun run;
  run.config.initial_state = {.source = GetParam().source, .zero_probability = 0.3};
  run.config.batch.sequences = 2 * kRowsAtOnce;
  run.config.batch.accumulation = 2;
  run.config.schedule.steps = 10;
  run.config.shard_optimizer = GetParam().shard_optimizer;
  run.recall = GetParam().recall;
  run.fresh_every = 5;
  const auto train = [&](const ScratchFolder& folder, dist::MeshShape mesh, Samples& samples) {
    run.mesh = mesh;
    run.on_batch = [&](int rank, const data::Batch& batch) { samples.add(rank, batch); };
    run.train(folder.path());
    samples.end_of_part(kRowsAtOnce / mesh.data);
  };

  const ScratchFolder whole, parts;
  Samples expected, found;
  train(whole, {4, 1}, expected);
  for (const dist::MeshShape mesh : {dist::MeshShape{4, 1}, {2, 2}, {1, 2}, {1, 1}, {2, 1}}) {
    run.interrupt_at += 2;
    train(parts, mesh, found);
    run.resume = true;
  }

  EXPECT_EQ(expected.ordered().size(), 80u);
  EXPECT_EQ(found.ordered(), expected.ordered());
  for (const char* name : {"loss", "gradient_norm", "state_norm"}) {
    EXPECT_EQ(metric(parts.path(), name).size(), 10u);
    EXPECT_TRUE(testing::close(metric(parts.path(), name), metric(whole.path(), name), 1e-9))
        << name;
  }
  const auto weights = testing::tensors_of(whole / "checkpoints/step-10/model.safetensors");
  for (const auto& [name, values] :
       testing::tensors_of(parts / "checkpoints/step-10/model.safetensors")) {
    EXPECT_TRUE(testing::close(values, weights.at(name), 1e-8)) << name;
  }
}

}  // namespace
}  // namespace longhaul::trainer
