#include "model/retention.h"

#include <gtest/gtest.h>

#include "tests/model/tiny_model.h"

namespace longhaul::model {
namespace {

using core::DeviceKind;
using core::DType;
using testing::tiny_config;

TEST(Retention, EveryBlockIsKeptOrRunAgainWithFewOthers) {
  for (int64_t layers = 1; layers < 10; ++layers) {
    for (int64_t together = 1; together <= layers; ++together) {
      const Retention retention{.layers = layers, .together = together};
      int64_t inputs = 0, kept = 0;
      for (int64_t layer = 0; layer < layers; ++layer) {
        const int64_t begin = retention.begin_of(layer);
        EXPECT_TRUE(retention.keeps_input(begin));
        EXPECT_LT(layer - begin, together);
        if (retention.keeps_activations(layer)) {
          ++kept;
          EXPECT_EQ(begin, layer);
        } else {
          inputs += retention.keeps_input(layer) ? 1 : 0;
        }
      }
      EXPECT_EQ(kept, together);
      EXPECT_EQ(inputs, (layers - 1) / together);  // one for each further group
    }
  }
}

TEST(Retention, NothingIsKeptWhereNoBackwardFollows) {
  const Retention retention{.layers = 3, .together = 0};
  for (int64_t layer = 0; layer < 3; ++layer) {
    EXPECT_FALSE(retention.keeps_input(layer) || retention.keeps_activations(layer));
  }
}

/// mamba2-1.3b in bf16, bytes a token: 8,192 of an input, 54,660 of a block's activations. One at a
/// time 447,876 (48 inputs), two 314 k, three 310 k, four 341 k.
TEST(Retention, MakesWhatIsKeptSmallest) {
  ModelConfig config{.vocabulary = 50288, .width = 2048, .layers = 48, .heads = 64};
  config.head_dim = 64, config.state_dim = 128, config.chunk = 256;
  EXPECT_EQ(retention_of(config, DeviceKind::kCuda, DType::kBF16, true).together, 3);
  config.residual_in_fp32 = false;
  EXPECT_EQ(retention_of(config, DeviceKind::kCuda, DType::kBF16, true).together, 2);
  EXPECT_EQ(retention_of(config, DeviceKind::kCuda, DType::kBF16, false).together, 48);
}

/// Blocks that keep hardly more than the normed input, which is as large as the input: of 48, four
/// at a time keep 15 inputs and as much as four, five 14 and five.
TEST(Retention, CountsTheInputsOfWhatIsRunAgain) {
  ModelConfig config{.width = 4096, .layers = 48, .heads = 1, .head_dim = 1, .state_dim = 1};
  EXPECT_EQ(retention_of(config, DeviceKind::kCpu, DType::kF32, true).together, 4);
}

ModelConfig deep_config() {
  ModelConfig config = tiny_config();
  config.width = 60, config.layers = 13;
  return config;
}

/// Run again, blocks do what they did.
TEST(Retention, GivesTheSameBits) {
  const ModelConfig config = deep_config();
  const int64_t together = retention_of(config, DeviceKind::kCpu, DType::kF32, true).together;
  ASSERT_GT(together, 1);
  ASSERT_NE((config.layers - together) % together, 0);  // one group is smaller
  const auto gradients = [&](bool recompute) {
    core::Context context({}, 1);
    LanguageModel model(context, config);
    testing::randomize(model, 5);
    testing::TokenBatch batch(2, 9, config.vocabulary, 7);
    const RecurrentState initial = testing::random_state(model, 2, 3);
    RecurrentState dinitial = model.make_state(2);
    model.forward_backward({.tokens = batch.token_view(),
                            .labels = batch.label_view(),
                            .initial = &initial,
                            .dinitial = &dinitial,
                            .recompute = recompute});
    auto all = testing::gradients_of(model);
    all.merge(testing::values_of_state(model, dinitial));
    return all;
  };
  EXPECT_EQ(gradients(true), gradients(false));
}

}  // namespace
}  // namespace longhaul::model
