#include "bench/scaling/run_question.h"

#include "kernels/core/error.h"
#include "launch/run_data.h"
#include "launch/run_plan.h"
#include "launch/run_rules.h"
#include "launch/trainer_settings.h"
#include "model/architecture.h"
#include "model/memory_plan.h"

namespace longhaul::bench {

RunQuestion::RunQuestion(const std::string& path, const std::vector<std::string>& overrides,
                         int64_t ranks) {
  const launch::RunConfig config = launch::read_run_config(path, overrides);
  launch::check_against_world(config, ranks);
  const launch::RunData data(config);
  config_ = launch::resolve(config, ranks, data.vocabulary(), shape_);
  if (config_.data.batch.segments > 1) {
    throw core::InputError(path + ": data.segments: the model knows one segment only");
  }
}

Prediction RunQuestion::predict(const Network& network, const Device& device) const {
  const auto& parallel = config_.parallel;
  StepQuestion question{.model = shape_,
                        .network = network,
                        .device = device,
                        .mesh = {.data = static_cast<int>(parallel.data),
                                 .sequence = static_cast<int>(parallel.sequence)},
                        .batch = config_.data.batch,
                        .algorithm = parallel.exchange,
                        .full_gradient = parallel.gradient == launch::GradientMode::kFull,
                        .shard_optimizer = parallel.zero == 1,
                        .bucket_bytes = launch::bucket_bytes(parallel, core::DeviceKind::kCuda),
                        .source = config_.initial_state.source};
  if (parallel.exchange == dist::ExchangeAlgorithm::kAutomatic) {
    const int64_t rows =
        config_.data.batch.sequences / config_.data.batch.accumulation / parallel.data;
    question.algorithm = dist::cheapest_exchange(
        model::exchange_question(shape_, rows, static_cast<int>(parallel.sequence),
                                 network.collectives == Collectives::kDirect));
  }
  return bench::predict(question);
}

}  // namespace longhaul::bench
