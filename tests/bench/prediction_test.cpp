#include "bench/scaling/prediction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "bench/scaling/search.h"
#include "kernels/core/error.h"
#include "trainer/memory_plan.h"

namespace longhaul::bench {
namespace {

using dist::ExchangeAlgorithm;

const model::ModelConfig kModel{.vocabulary = 50,
                                .width = 64,
                                .layers = 3,
                                .heads = 8,
                                .head_dim = 16,
                                .state_dim = 32,
                                .chunk = 32};
const Network kNetwork{.ranks_per_node = 2,
                       .inside = {.latency_s = 1e-6, .bytes_per_second = 1e9},
                       .between = {.latency_s = 1e-4, .bytes_per_second = 1e8},
                       .links_per_node = 2};
const Device kDevice{.flops_per_second = 1e11, .bytes_per_second = 1e10};

StepQuestion question_of(dist::MeshShape mesh, ExchangeAlgorithm algorithm,
                         const Device& device = kDevice) {
  return {.model = kModel,
          .network = kNetwork,
          .device = device,
          .mesh = mesh,
          .batch = {.length = 256, .sequences = 8},
          .algorithm = algorithm};
}

TEST(PredictedMemory, IsTheTrainersPlan) {
  Device cpu = kDevice;
  cpu.processors = 2;
  for (const auto algorithm :
       {ExchangeAlgorithm::kAllGather, ExchangeAlgorithm::kChain, ExchangeAlgorithm::kLogStep}) {
    for (const dist::MeshShape mesh :
         {dist::MeshShape{1, 1}, {2, 1}, {1, 2}, {2, 3}, {1, 4}, {1, 7}, {1, 13}, {2, 16}}) {
      for (const bool is_gpu : {false, true}) {
        StepQuestion question = question_of(mesh, algorithm, is_gpu ? kDevice : cpu);
        for (const bool recompute : {false, true}) {
          question.batch.recompute = recompute;
          trainer::TrainerConfig settings;
          settings.initial_state.source = trainer::SourceKind::kStatePassing;
          settings.batch = question.batch;
          settings.exchange = algorithm;
          settings.shard_optimizer = true;
          const auto plan = trainer::plan_memory(
              {.model = kModel,
               .device = is_gpu ? core::DeviceKind::kCuda : core::DeviceKind::kCpu,
               .dtype = core::DType::kF32,
               .trainer = settings,
               .mesh = mesh});
          EXPECT_EQ(memory_of(question), static_cast<double>(plan.peak))
              << mesh.data << " x " << mesh.sequence;
        }
      }
    }
  }
}

TEST(Predicted, PartsAreTheWhole) {
  const Prediction step = predict(question_of({2, 4}, ExchangeAlgorithm::kChain));
  EXPECT_GT(step.exchange, 0);
  EXPECT_GT(step.control, 0);
  EXPECT_DOUBLE_EQ(step.seconds,
                   step.computing + step.exchange + step.reduction + step.gathering + step.control);
  EXPECT_DOUBLE_EQ(step.network_share(), 1 - step.computing / step.seconds);
}

TEST(Predicted, OneRankWaitsForNobody) {
  const Prediction step = predict(question_of({1, 1}, ExchangeAlgorithm::kChain));
  EXPECT_DOUBLE_EQ(step.seconds, step.computing);
  EXPECT_EQ(step.exchange_bytes + step.gradient_bytes + step.parameter_bytes, 0);
}

TEST(Predicted, BytesOfAStep) {
  // Chain: a state of 8 · 16 · 32 and 3 halo rows of 128 + 64 channels, fp32, each of 4 sequences,
  // 3 layers, both ways.
  const Prediction chain = predict(question_of({2, 4}, ExchangeAlgorithm::kChain));
  EXPECT_DOUBLE_EQ(chain.exchange_bytes, 2 * 3 * 4 * 4.0 * (8 * 16 * 32 + 3 * 192));
  // All-gather: state and 8 log-decays to three others.
  const Prediction gather = predict(question_of({2, 4}, ExchangeAlgorithm::kAllGather));
  EXPECT_DOUBLE_EQ(gather.exchange_bytes, 2 * 3 * 4 * 4.0 * (3 * (8 * 16 * 32 + 8) + 3 * 192));
  // Heads on 4 ranks: 3/4 of 64 tokens · 4 sequences · (x, z, B and C of 4 groups, dt; y back).
  StepQuestion heads = question_of({2, 4}, ExchangeAlgorithm::kChain);
  heads.sharing = Sharing::kHeads;
  EXPECT_DOUBLE_EQ(predict(heads).exchange_bytes,
                   2 * 3 * 0.75 * 64 * 4 * 4.0 * (2 * 128 + 2 * 4 * 32 + 8 + 128));
}

TEST(Predicted, ShufflingStatesTakesTimeBetweenDataRanks) {
  const auto step = [](dist::MeshShape mesh, trainer::SourceKind source) {
    StepQuestion question = question_of(mesh, ExchangeAlgorithm::kChain);
    question.source = source;
    return predict(question);
  };
  // 8 data ranks, a row each: it stays with 1/8 and starts from zero with 1/10, but hardly on all.
  const double state = 8 * 16 * 32 * 4.0, rows = 1 - std::pow(1 - 0.9 * 7 / 8, 8);
  const Prediction passing = step({8, 1}, trainer::SourceKind::kStatePassing);
  EXPECT_NEAR(passing.source_bytes, rows * 3 * state, 1e-6);
  // What TBTT asks for too: are the final states finite.
  EXPECT_NEAR(passing.control - step({8, 1}, trainer::SourceKind::kTbtt).control,
              rows * 3 * state / 1e8 + 1e-4, 1e-12);
  EXPECT_EQ(step({1, 1}, trainer::SourceKind::kStatePassing).source_bytes, 0);
  // 2 data ranks, 4 rows each, by hand: binomial numbers of 4 trials with 0.45.
  double most = 0;
  for (const double at_most : {0.09150625, 0.390981250, 0.758518750, 0.95899375}) {
    most += 1 - at_most * at_most;
  }
  EXPECT_NEAR(step({2, 1}, trainer::SourceKind::kStatePassing).source_bytes, most * 3 * state, 0.1);
}

TEST(Predicted, RanksThatShareProcessorsComputeLonger) {
  Device device = kDevice;
  device.processors = 2;
  StepQuestion question{.model = kModel,
                        .network = kNetwork,
                        .device = device,
                        .mesh = {4, 2},
                        .batch = {.length = 256, .sequences = 8}};
  EXPECT_DOUBLE_EQ(predict(question).computing,
                   4 * predict(question_of({4, 2}, ExchangeAlgorithm::kChain)).computing);
}

TEST(Predicted, TakesTheBestBuckets) {
  StepQuestion question = question_of({8, 1}, ExchangeAlgorithm::kChain);
  double best = 1e30;
  for (const int64_t bytes : kBuckets) {
    question.bucket_bytes = bytes;
    best = std::min(best, predict(question).seconds);
  }
  question.bucket_bytes = 0;
  EXPECT_DOUBLE_EQ(predict(question).seconds, best);
}

TEST(Predicted, MeshesThatDoNotSuitAreRefused) {
  EXPECT_THROW(predict(question_of({3, 1}, ExchangeAlgorithm::kChain)), core::InputError);
  EXPECT_THROW(predict(question_of({1, 256}, ExchangeAlgorithm::kChain)), core::InputError);
  StepQuestion heads = question_of({1, 3}, ExchangeAlgorithm::kChain);
  heads.sharing = Sharing::kHeads;
  EXPECT_EQ(misfit(heads), "8 heads cannot be shared by 3 ranks");
  model::ModelConfig mamba1 = kModel;
  mamba1.architecture = model::Architecture::kMamba1;
  EXPECT_THAT(misfit({.model = mamba1,
                      .network = kNetwork,
                      .device = kDevice,
                      .mesh = {1, 2},
                      .batch = {.length = 256, .sequences = 8},
                      .sharing = Sharing::kHeads}),
              ::testing::HasSubstr("ranks cannot share heads"));
}

TEST(Search, IsTheBestOfAllThatFit) {
  Device device = kDevice;
  device.processors = 4;
  device.memory_bytes = 0.6 * memory_of(question_of({1, 4}, ExchangeAlgorithm::kChain, device));
  const SearchQuestion search{.model = kModel,
                              .network = kNetwork,
                              .device = device,
                              .ranks = 4,
                              .length = 256,
                              .sequences = 8};
  const auto found = choices(search);
  ASSERT_FALSE(found.empty());
  double best = 1e30;
  for (const int sequence : {1, 2, 4}) {
    for (const auto algorithm :
         {ExchangeAlgorithm::kAllGather, ExchangeAlgorithm::kChain, ExchangeAlgorithm::kLogStep}) {
      for (const int64_t accumulation : {1, 2, 4, 8}) {
        for (const bool recompute : {false, true}) {
          StepQuestion question{.model = kModel,
                                .network = kNetwork,
                                .device = device,
                                .mesh = {4 / sequence, sequence},
                                .batch = {.length = 256,
                                          .sequences = 8,
                                          .accumulation = accumulation,
                                          .recompute = recompute},
                                .algorithm = algorithm,
                                .bucket_bytes = 0};
          if (!misfit(question).empty() || memory_of(question) > device.memory_bytes) continue;
          best = std::min(best, predict(question).seconds);
        }
      }
    }
  }
  EXPECT_DOUBLE_EQ(found.front().step.seconds, best);
  for (size_t i = 1; i < found.size(); ++i) {
    EXPECT_LE(found[i - 1].step.seconds, found[i].step.seconds);
  }
  for (const Choice& choice : found) EXPECT_LE(choice.step.memory_bytes, device.memory_bytes);
}

TEST(Search, FindsNothingWhereNothingFits) {
  Device device = kDevice;
  device.memory_bytes = 1000;
  EXPECT_TRUE(choices({.model = kModel,
                       .network = kNetwork,
                       .device = device,
                       .ranks = 4,
                       .length = 256,
                       .sequences = 8})
                  .empty());
}

}  // namespace
}  // namespace longhaul::bench
