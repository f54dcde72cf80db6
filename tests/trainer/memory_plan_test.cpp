// The plan of memory against the pool's peak of a real step.
#include "trainer/memory_plan.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/trainer/planned_run.h"

namespace longhaul::trainer {
namespace {

using testing::measure;
using testing::plan_of;
using testing::planned_model;
using testing::PlannedRun;

model::ModelConfig changed(const std::function<void(model::ModelConfig&)>& change) {
  model::ModelConfig config = planned_model();
  change(config);
  return config;
}
BatchConfig batch_of(int64_t length, int64_t sequences) {
  return {.length = length, .sequences = sequences};
}
BatchConfig recomputed(BatchConfig batch) {
  batch.recompute = true;
  return batch;
}
BatchConfig in_segments(BatchConfig batch, int64_t segments) {
  batch.segments = segments;
  return batch;
}

std::vector<PlannedRun> cases() {
  using Algorithm = dist::ExchangeAlgorithm;
  const auto mlp = changed([](auto& c) { c.mlp_width = 160; });
  const auto groups = changed([](auto& c) { c.groups = 2, c.linear_bias = true; });
  const auto wide_vocabulary = changed([](auto& c) { c.vocabulary = 5000, c.tied = false; });
  const auto narrow_states = changed([](auto& c) { c.state_dim = 8, c.head_dim = 16; });
  const auto many_heads = changed([](auto& c) { c.heads = 24, c.head_dim = 8, c.width = 32; });
  const auto deep = changed([](auto& c) { c.layers = 12, c.width = 32, c.heads = 2; });
  // The residual stream is most of what a block keeps: several are run again together.
  const auto wide_stream = changed(
      [](auto& c) { c.layers = 16, c.width = 128, c.heads = 1, c.head_dim = 16, c.state_dim = 8; });
  const auto mamba1 = changed([](auto& c) {
    c.architecture = model::Architecture::kMamba1;
    c.heads = 160, c.head_dim = 1, c.state_dim = 16, c.linear_bias = true;
  });
  const BatchConfig batch = batch_of(256, 8);
  std::vector<PlannedRun> all = {
      {"plain", planned_model(), batch, {1, 1}},
      {"mlp", mlp, batch, {1, 1}},
      {"groups_and_biases", groups, batch, {1, 1}},
      {"large_vocabulary", wide_vocabulary, batch, {1, 1}},
      {"narrow_states", narrow_states, batch, {1, 1}},
      {"many_heads", many_heads, batch, {1, 1}},
      {"deep", deep, batch, {1, 1}},
      {"recompute", planned_model(), recomputed(batch), {1, 1}},
      {"recompute_deep", deep, recomputed(batch), {1, 1}},
      {"recompute_mlp", mlp, recomputed(batch), {1, 1}},
      {"recompute_together", wide_stream, recomputed(batch), {1, 1}},
      {"segments", planned_model(), in_segments(batch_of(1024, 2), 4), {1, 1}},
      {"short_sequences", planned_model(), batch_of(8, 64), {1, 1}},
      {"large_state", planned_model(), batch_of(16, 32), {1, 1}, SourceKind::kStatePassing},
      {"data_ranks", planned_model(), batch, {2, 1}, SourceKind::kTbtt},
      {"mamba1", mamba1, batch, {1, 1}, SourceKind::kFittedNoise},
      {"mamba1_recompute", mamba1, recomputed(batch), {1, 1}, SourceKind::kStatePassing},
      {"mamba1_segments", mamba1, in_segments(batch_of(1024, 2), 4), {1, 1}},
      {"mamba1_sequence_recompute", mamba1, recomputed(batch), {1, 2}},
  };
  for (const auto algorithm : {Algorithm::kAllGather, Algorithm::kChain, Algorithm::kLogStep}) {
    all.push_back({.name = algorithm == Algorithm::kAllGather ? "sequence_all_gather"
                           : algorithm == Algorithm::kChain   ? "sequence_chain"
                                                              : "sequence_log_step",
                   .model = planned_model(),
                   .batch = batch_of(128, 16),
                   .mesh = {1, 3},
                   .source = SourceKind::kFittedNoise,
                   .exchange = algorithm});
  }
  all.push_back({.name = "mamba1_sequence",
                 .model = mamba1,
                 .batch = batch_of(96, 16),
                 .mesh = {1, 3},
                 .exchange = Algorithm::kChain});
  PlannedRun truncated{
      .name = "mamba1_truncated", .model = mamba1, .batch = batch_of(96, 16), .mesh = {1, 2}};
  truncated.full_gradient = false;
  all.push_back(truncated);
  PlannedRun more{
      .name = "sequence_truncated", .model = planned_model(), .batch = batch, .mesh = {1, 2}};
  more.full_gradient = false;
  all.push_back(more);
  more = {.name = "sequence_recompute", .model = mlp, .batch = recomputed(batch), .mesh = {2, 2}};
  all.push_back(more);
  more = {.name = "zero", .model = wide_vocabulary, .batch = batch_of(32, 8), .mesh = {2, 1}};
  more.sharded = true;
  all.push_back(more);
  more.name = "zero_sequence";
  more.mesh = {2, 2};
  all.push_back(more);
  more = {.name = "fp64", .model = planned_model(), .batch = batch, .mesh = {1, 1}};
  more.dtype = core::DType::kF64;
  all.push_back(more);
  more = {.name = "two_threads", .model = planned_model(), .batch = batch, .mesh = {1, 1}};
  more.threads = 2;
  all.push_back(more);
  return all;
}

class PlannedMemory : public ::testing::TestWithParam<PlannedRun> {};
INSTANTIATE_TEST_SUITE_P(MemoryPlan, PlannedMemory, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return std::string(info.param.name); });

void expect_near(int64_t planned, int64_t measured) {
  EXPECT_NEAR(static_cast<double>(planned) / static_cast<double>(measured), 1, 0.05)
      << planned << " planned, " << measured << " measured";
}

TEST_P(PlannedMemory, HoldsToFivePercentOfWhatIsMeasured) {
  const MemoryPlan plan = plan_of(GetParam());
  const testing::MeasuredMemory measured = measure(GetParam());
  expect_near(plan.peak, measured.peak);
  expect_near(plan.reserved, measured.reserved);
  if (GetParam().mesh.data * GetParam().mesh.sequence == 1) {
    expect_near(plan.checkpoint_copy, measured.checkpoint);
  }
}

TEST(MemoryPlan, PartsSayWhatTheyCost) {
  PlannedRun c{.name = "", .model = planned_model(), .batch = batch_of(256, 8), .mesh = {4, 1}};
  const MemoryPlan whole = plan_of(c);
  EXPECT_EQ(whole.gradients, whole.parameters);
  EXPECT_EQ(whole.optimizer, 2 * whole.parameters);
  EXPECT_GT(whole.peak, whole.parameters + whole.gradients + whole.optimizer + whole.states +
                            whole.activations);
  EXPECT_EQ(whole.exchange, 0);
  EXPECT_GT(whole.buckets_under_way, whole.gradients / 2);  // all, which are not rounded up
  PlannedRun large = c;  // its gradients are more than may be under way at once
  large.model.vocabulary = 300'000;
  EXPECT_EQ(plan_of(large).buckets_under_way, int64_t{64} << 20);
  c.sharded = true;
  EXPECT_LE(plan_of(c).optimizer, whole.optimizer / 4 + 4096);
  c.batch.recompute = true;
  EXPECT_LT(plan_of(c).activations, whole.activations);
  c.model.layers = 48;
  const int64_t few = plan_of(c).activations;
  c.batch.recompute = false;
  EXPECT_LT(few, plan_of(c).activations / 5);
  c.mesh = {1, 4};
  EXPECT_GT(plan_of(c).exchange, 0);
}

}  // namespace
}  // namespace longhaul::trainer
