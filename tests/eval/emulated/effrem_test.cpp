// Effective remembrance of a bf16 model: devices have bf16. Emulated alone: a real one's products
// of other shapes add up in another order, which rounds other activations to bf16.
#include "eval/effrem.h"

#include <cmath>

#include "dist/thread_communicator.h"
#include "eval/piece_run.h"
#include "tests/kernels/device/device_test.h"
#include "tests/model/tiny_model.h"

namespace longhaul::eval {
namespace {

using core::DType;
using core::Tensor;
using testing::kCuda;

constexpr int64_t kLength = 9;
const data::RecallTask kTask{.keys = 6, .values = 5, .reach = 4};

/// Of the predictions after all of the tokens and after the last `kept` alone, in double from
/// logits of this dtype.
double plain_distance(model::LanguageModel& model, DType logits_dtype, int64_t kept) {
  core::Context& context = model.context();
  LabelledTokens row;
  for (uint64_t stream = 0; row.labels.empty() || row.labels.back() < 0; ++stream) {
    recall_reader(kTask, 0, stream)->next(kLength, row);  // the first that ends in a query
  }
  const auto prediction = [&](int64_t first) {
    const std::vector<int32_t> tokens(row.tokens.begin() + first, row.tokens.end());
    const Tensor device_tokens = Tensor::from(context, tokens, {1, std::ssize(tokens)});
    const Tensor logits(context, logits_dtype, {1, model.config().vocabulary});
    model.forward({.tokens = device_tokens, .labels = {}, .last_logits = logits});
    std::vector<double> q = doubles_of(context, logits);
    double sum = 0;
    for (double& value : q) sum += value = std::exp(value);
    for (double& value : q) value /= sum;
    return q;
  };
  const std::vector<double> whole = prediction(0), part = prediction(kLength - kept);
  double distance = 0;
  for (size_t i = 0; i < whole.size(); ++i) distance += std::abs(whole[i] - part[i]) / 2;
  return distance;
}

using EffRemOnDevice = testing::DeviceTest;

TEST_F(EffRemOnDevice, ComparesLogitsThatAreNotRoundedToBf16) {
  const auto communicator = dist::solo_communicator();
  const dist::Mesh mesh(*communicator, {});
  core::Context context(kCuda);
  model::LanguageModel model(context, testing::tiny_config(), DType::kBF16);
  testing::randomize(model, 5);
  const CurveOptions options{.length = kLength, .sequences = 1};
  const EffRem found = evaluate_effrem(mesh, model, recall_sequences(kTask, options), options);
  for (const EffRemPoint& point : found.points) {
    const int64_t kept = kLength - point.dropped;
    EXPECT_NEAR(point.distance, plain_distance(model, DType::kF32, kept), 1e-9) << kept;
    EXPECT_GT(std::abs(point.distance - plain_distance(model, DType::kBF16, kept)), 1e-6) << kept;
  }
}

}  // namespace
}  // namespace longhaul::eval
