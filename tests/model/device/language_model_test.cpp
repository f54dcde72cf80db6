// A whole model on the device against the CPU in fp64: loss, logits, states and every gradient.
#include "tests/kernels/device/device_test.h"
#include "tests/model/tiny_model.h"

namespace longhaul::testing {
namespace {

using core::DType;
using core::Tensor;

/// Everything that a step leaves, by name.
Values run_step(core::Device device, DType dtype, const model::ModelConfig& config,
                bool recompute) {
  core::Context context(device);
  model::LanguageModel model(context, config, dtype);
  randomize(model, 5);
  TokenBatch batch(2, 13, config.vocabulary, 7);
  const Tensor tokens = Tensor::copy_of(context, batch.token_view()),
               labels = Tensor::copy_of(context, batch.label_view());
  const model::RecurrentState initial = random_state(model, 2, 3),
                              dfinal = random_state(model, 2, 4);
  model::RecurrentState final_state = model.make_state(2), dinitial = model.make_state(2);
  Values all;
  const Tensor logits(context, dtype, {2, 13, config.vocabulary});
  model.forward({.tokens = tokens, .labels = {}, .initial = &initial, .logits = logits});
  all["logits"] = values_of(logits);
  const kernels::LossSum loss = model.forward_backward({.tokens = tokens,
                                                        .labels = labels,
                                                        .initial = &initial,
                                                        .scale = 0.1,
                                                        .final_state = &final_state,
                                                        .dfinal = &dfinal,
                                                        .dinitial = &dinitial,
                                                        .recompute = recompute});
  all["loss"] = {loss.sum, static_cast<double>(loss.count)};
  all.merge(gradients_of(model));
  for (const auto& [name, values] : values_of_state(model, final_state))
    all["final." + name] = values;
  for (const auto& [name, values] : values_of_state(model, dinitial))
    all["dinitial." + name] = values;
  return all;
}

using ModelOnDevice = DeviceTest;

TEST_F(ModelOnDevice, StepIsThatOfTheCpu) {
  model::ModelConfig with_mlp = tiny_config(), narrow = with_mlp;
  with_mlp.mlp_width = narrow.mlp_width = 7;
  with_mlp.linear_bias = true;
  narrow.residual_in_fp32 = false;
  model::ModelConfig mamba1 = tiny_mamba1();
  mamba1.linear_bias = true;
  for (const model::ModelConfig& config : {tiny_config(), with_mlp, narrow, mamba1}) {
    const Values expected = run_step({}, DType::kF64, config, false);
    expect_close(run_step(kCuda, DType::kF32, config, false), expected, 1e-4);
    expect_close(run_step(kCuda, DType::kBF16, config, true), expected, 0.1);
  }
}

/// Heads and states of Mamba-2's own sizes take other kernels in bf16 (kernels::ssd_best_chunk).
TEST_F(ModelOnDevice, StepWithTheSizesOfMamba2IsThatOfTheCpu) {
  model::ModelConfig config = tiny_config();
  config.heads = 2, config.head_dim = 64, config.groups = 1, config.state_dim = 128;
  config.chunk = 256;
  const Values expected = run_step({}, DType::kF64, config, false);
  expect_close(run_step(kCuda, DType::kBF16, config, false), expected, 0.1);
}

TEST_F(ModelOnDevice, RecomputationAndRepetitionGiveTheSameBits) {
  for (const model::ModelConfig& config : {tiny_config(), tiny_mamba1()}) {
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      const Values once = run_step(kCuda, dtype, config, false);
      EXPECT_EQ(run_step(kCuda, dtype, config, true), once);
    }
  }
}

/// Logits after a token, of a model whose layers each add little to a large residual stream.
std::vector<double> logits_of_small_additions(core::Device device, DType dtype,
                                              bool residual_in_fp32) {
  core::Context context(device);
  model::ModelConfig config = tiny_config();
  config.width = 64, config.layers = 16, config.vocabulary = 100;
  config.residual_in_fp32 = residual_in_fp32;
  model::LanguageModel model(context, config, dtype);
  model::initialize(model, 1);
  for (const model::Parameter& parameter : model.parameters().list()) {
    if (!parameter.name.ends_with("embeddings.weight")) continue;
    std::vector<double> values = values_of(model.parameters().value(parameter));
    for (double& v : values) v *= 100;
    assign(model.parameters().value(parameter), values);
  }
  model.parameters().update_rounded();
  TokenBatch batch(2, 5, config.vocabulary, 7);
  const Tensor tokens = Tensor::copy_of(context, batch.token_view()),
               logits(context, core::state_dtype(dtype), {2, config.vocabulary});
  model.forward({.tokens = tokens, .labels = {}, .last_logits = logits});
  return values_of(logits);
}

/// What a layer adds is not rounded away.
TEST_F(ModelOnDevice, ResidualStreamInFp32KeepsSmallAdditions) {
  const std::vector<double> exact = logits_of_small_additions({}, DType::kF64, true);
  const auto squared_error = [&](bool residual_in_fp32) {
    const auto found = logits_of_small_additions(kCuda, DType::kBF16, residual_in_fp32);
    const double rms = difference(found, exact).normalised_rms;
    return rms * rms;
  };
  EXPECT_LT(squared_error(true), 0.5 * squared_error(false));
}

/// Past the first step all memory comes from the pool: no cudaMalloc, which would wait for the
/// device.
TEST_F(ModelOnDevice, StepsAfterTheFirstAllocateNothing) {
  core::Context context(kCuda);
  model::LanguageModel model(context, tiny_config(), DType::kBF16);
  randomize(model, 5);
  TokenBatch batch(2, 13, 11, 7);
  const Tensor tokens = Tensor::copy_of(context, batch.token_view()),
               labels = Tensor::copy_of(context, batch.label_view());
  std::vector<int64_t> allocations;
  for (int step = 0; step < 3; ++step) {
    model.forward_backward({.tokens = tokens, .labels = labels});
    allocations.push_back(context.pool().system_allocations());
  }
  EXPECT_GT(allocations[0], 0);
  EXPECT_EQ(allocations[2], allocations[0]);
}

/// What is compared to small differences is not rounded to bf16 before (eval/effrem.h).
TEST_F(ModelOnDevice, LastLogitsOfABf16ModelCanBeKeptInFp32) {
  core::Context context(kCuda);
  model::LanguageModel model(context, tiny_config(), DType::kBF16);
  randomize(model, 5);
  TokenBatch batch(2, 6, 11, 7);
  const Tensor tokens = Tensor::copy_of(context, batch.token_view()),
               half(context, DType::kBF16, {2, 11}), single(context, DType::kF32, {2, 11});
  model.forward({.tokens = tokens, .labels = {}, .last_logits = half});
  model.forward({.tokens = tokens, .labels = {}, .last_logits = single});
  EXPECT_NE(values_of(single), values_of(half));
  EXPECT_EQ(rounded(values_of(single), DType::kBF16), values_of(half));
}

/// Token by token with the state carried is the whole sequence.
TEST_F(ModelOnDevice, GenerationFollowsTheSequence) {
  for (const model::ModelConfig& config : {tiny_config(), tiny_mamba1()}) {
    core::Context context(kCuda);
    model::LanguageModel model(context, config, DType::kF32);
    randomize(model, 5);
    TokenBatch batch(1, 6, 11, 7);
    const Tensor tokens = Tensor::copy_of(context, batch.token_view()),
                 whole(context, DType::kF32, {1, 11}), last(context, DType::kF32, {1, 11});
    model.forward({.tokens = tokens, .labels = {}, .last_logits = whole});
    model::RecurrentState states[2] = {model.make_state(1), model.make_state(1)};
    for (int64_t t = 0; t < 6; ++t) {
      const Tensor token = Tensor::copy_of(context, tokens.view().slice(1, t, t + 1));
      model.forward({.tokens = token,
                     .labels = {},
                     .initial = &states[t % 2],
                     .final_state = &states[(t + 1) % 2],
                     .last_logits = last});
    }
    EXPECT_TRUE(close(last, values_of(whole), 1e-5));
  }
}

}  // namespace
}  // namespace longhaul::testing
