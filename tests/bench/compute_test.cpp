// Counts of work against the model's own and against published ones.
#include "bench/scaling/compute.h"

#include <gtest/gtest.h>

#include "bench/support/shapes.h"
#include "model/language_model.h"

namespace longhaul::bench {
namespace {

double forward_flops(const model::ModelConfig& config, const RankTokens& tokens) {
  const LayerWork layer = forward_work(config, ElementType::kF32, tokens);
  return flops_of(layer.to_halo) + flops_of(layer.to_exchange) + flops_of(layer.meanwhile) +
         flops_of(layer.rest);
}
double backward_flops(const model::ModelConfig& config, const RankTokens& tokens) {
  const LayerWork layer = backward_work(config, ElementType::kF32, tokens);
  return flops_of(layer.to_halo) + flops_of(layer.to_exchange) + flops_of(layer.meanwhile) +
         flops_of(layer.rest);
}

TEST(Work, IsTheModelsOwnCount) {
  for (const int64_t mlp : {0, 40}) {
    model::ModelConfig config{.vocabulary = 19,
                              .width = 24,
                              .layers = 3,
                              .heads = 3,
                              .head_dim = 16,
                              .state_dim = 8,
                              .groups = 3,
                              .chunk = 16,
                              .mlp_width = mlp};
    core::Context context(core::Device{}, 1);
    const model::LanguageModel own(context, config, core::DType::kF32);
    const RankTokens one{.tokens = 1, .length = 64};
    const double head = flops_of(head_work(config, ElementType::kF32, one)) / 3;
    const double passing = 2.0 * 48 * 8 / 16;  // the model counts passing states on, too
    EXPECT_DOUBLE_EQ(3 * (forward_flops(config, one) + passing) + head, own.flops_per_token());
  }
}

TEST(Work, IsTheModelsOwnCountOfMamba1) {
  model::ModelConfig config{.architecture = model::Architecture::kMamba1,
                            .vocabulary = 19,
                            .width = 24,
                            .layers = 3,
                            .heads = 40,
                            .head_dim = 1,
                            .state_dim = 8};
  core::Context context(core::Device{}, 1);
  const model::LanguageModel own(context, config, core::DType::kF32);
  RankTokens one{.tokens = 1, .length = 64};
  const double head = flops_of(head_work(config, ElementType::kF32, one)) / 3;
  EXPECT_DOUBLE_EQ(3 * forward_flops(config, one) + head, own.flops_per_token());
  one.exchanges = true;  // a pass over dt, x and B more
  EXPECT_GT(3 * forward_flops(config, one) + head, own.flops_per_token());
}

// Counted by hand for mamba2-1.3b at Q = 256: in_proj 34.87 M, out_proj 16.78 M, SSD 3.18 M
// (causal).
TEST(Work, OfThe1300MillionModel) {
  model::ModelConfig config = shapes().at("mamba2-1.3b").config;
  config.chunk = 256;
  const LayerWork layer = forward_work(config, ElementType::kBF16, {.tokens = 1, .length = 2048});
  EXPECT_NEAR(layer.to_halo[1].flops, 34.87e6, 1e4);
  EXPECT_NEAR(layer.rest.back().flops, 16.78e6, 1e4);
  const double ssd =
      layer.to_exchange.back().flops + layer.meanwhile[0].flops + layer.rest[0].flops;
  EXPECT_NEAR(ssd, 3.18e6, 1e4);
  // Twice the forward products in backward, but for the SSD's.
  const SsdWork scan = ssd_work(config, 1, 2048);
  EXPECT_NEAR(backward_flops(config, {.tokens = 2048, .length = 2048}),
              2048 * (2 * (34.87e6 + 16.78e6) + 4 * 4 * 4352) + scan.backward, 5e7);
}

TEST(Work, BytesOfALayer) {
  const model::ModelConfig config = shapes().at("mamba2-1.3b").config;
  const LayerWork layer = forward_work(config, ElementType::kBF16, {.tokens = 1, .length = 2048});
  EXPECT_DOUBLE_EQ(layer.to_exchange[0].bytes, 2 * 2 * 4352);  // conv: in and out
  EXPECT_DOUBLE_EQ(layer.rest[1].bytes, 2 * 3 * 4096 + 4);     // gated norm: y, z, out, rstd
  EXPECT_DOUBLE_EQ(optimizer_work(ElementType::kBF16, 10, 10)[1].bytes, 10 * 30);
}

TEST(Seconds, TheSlowerLimitCounts) {
  const Device device{.flops_per_second = 100,
                      .linear_share = 0.5,
                      .scan_share = 0.1,
                      .bytes_per_second = 10,
                      .bytes_share = 0.5,
                      .launch_s = 0.25};
  EXPECT_DOUBLE_EQ(seconds_of(device, {"x", OpKind::kLinear, 500, 5}), 10);
  EXPECT_DOUBLE_EQ(seconds_of(device, {"x", OpKind::kScan, 500, 5}), 50);
  EXPECT_DOUBLE_EQ(seconds_of(device, {"x", OpKind::kLinear, 1, 100}), 20);
  EXPECT_DOUBLE_EQ(seconds_of(device, {"x", OpKind::kMemory, 1e9, 1, 3}), 0.75);
  EXPECT_EQ(seconds_of(device, {"x", OpKind::kMemory, 0, 0, 3}), 0);  // nothing is launched
}

TEST(Seconds, MeasuredRatesReplaceCeilings) {
  Device device{.flops_per_second = 100, .bytes_per_second = 10};
  device.measured["linear forward"] = {.flops_per_second = 20, .bytes_per_second = 1};
  device.measured["adamw"] = {.flops_per_second = 0, .bytes_per_second = 5};
  device.measured_over_model = 2;
  EXPECT_DOUBLE_EQ(seconds_of(device, {"linear forward", OpKind::kLinear, 100, 10}), 10);
  EXPECT_DOUBLE_EQ(seconds_of(device, {"adamw", OpKind::kMemory, 0, 10}), 4);
}

TEST(Seconds, HeadParallelRanksEachHaveAGroup) {
  const model::ModelConfig config = shapes().at("mamba2-1.3b").config;
  const auto bytes = [&](int64_t groups) {
    return forward_work(config, ElementType::kF32, {.tokens = 1, .length = 64, .groups = groups})
        .to_exchange[0]
        .bytes;
  };
  EXPECT_DOUBLE_EQ(bytes(8) - bytes(1), 2 * 4 * 7 * 2 * 128);  // conv's B and C, seven more
}

}  // namespace
}  // namespace longhaul::bench
