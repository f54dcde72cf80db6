// The plan of memory against the pool's peak of real evaluations.
#include "eval/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <string>

#include "dist/thread_communicator.h"
#include "eval/effrem.h"
#include "eval/perplexity.h"
#include "eval/states.h"
#include "model/init.h"

namespace longhaul::eval {
namespace {

const data::RecallTask kRecall{.keys = 160, .values = 90};

model::ModelConfig mamba2() {
  model::ModelConfig config;
  config.vocabulary = 250;
  config.width = 64;
  config.layers = 3;
  config.heads = 8;
  config.head_dim = 16;
  config.state_dim = 32;
  config.chunk = 64;
  return config;
}
model::ModelConfig mamba1() {
  model::ModelConfig config = mamba2();
  config.architecture = model::Architecture::kMamba1;
  config.heads = 128;
  config.head_dim = 1;
  config.state_dim = 16;
  return config;
}
model::ModelConfig with_mlp() {
  model::ModelConfig config = mamba2();
  config.mlp_width = 160;
  config.vocabulary = 5000;
  return config;
}

struct Measured {
  const char* name;
  model::ModelConfig model;
  CurveOptions options;
  dist::MeshShape mesh{1, 1};
  int64_t sequences = 4, tokens = 256;  ///< of the largest piece
  core::DType dtype = core::DType::kF32;
  int threads = 1;
  std::string measure = "curve";
};

int64_t peak_of(const Measured& measured) {
  std::mutex mutex;
  int64_t most = 0;
  dist::run_thread_ranks(
      measured.mesh.data * measured.mesh.sequence, [&](dist::Communicator& world) {
        const dist::Mesh mesh(world, measured.mesh);
        core::Context context({}, measured.threads);
        model::LanguageModel model(context, measured.model, measured.dtype);
        model::initialize(model, 3);
        const CurveOptions& options = measured.options;
        if (measured.measure == "curve") {
          evaluate_recall(mesh, model, kRecall, options);
        } else if (measured.measure == "states") {
          evaluate_states(mesh, model, recall_sequences(kRecall, options), options);
        } else {
          evaluate_effrem(mesh, model, recall_sequences(kRecall, options), options);
        }
        const std::lock_guard lock(mutex);
        most = std::max(most, context.pool().peak_bytes());
      });
  return most;
}

class PlannedEvaluation : public ::testing::TestWithParam<Measured> {};

TEST_P(PlannedEvaluation, HoldsToFivePercentOfWhatIsMeasured) {
  const Measured& measured = GetParam();
  const int64_t planned = plan_memory({.model = measured.model,
                                       .sequences = measured.sequences,
                                       .tokens = measured.tokens,
                                       .sequence_ranks = measured.mesh.sequence,
                                       .dtype = measured.dtype,
                                       .threads = measured.threads});
  const int64_t found = peak_of(measured);
  EXPECT_NEAR(static_cast<double>(planned) / static_cast<double>(found), 1, 0.05)
      << planned << " planned, " << found << " measured";
}

const CurveOptions kCurve{.length = 600, .sequences = 8, .piece = 256, .batch = 4, .states = false};
CurveOptions in_windows() {
  CurveOptions options = kCurve;
  options.window = 64;  // 4 fill a piece
  return options;
}

CurveOptions of_effrem() {
  CurveOptions options = kCurve;
  options.length = 1201;
  return options;
}
PieceExtents largest_effrem_piece() {
  const CurveOptions options = of_effrem();
  const auto pieces =
      effrem_pieces(options.length, 0, static_cast<double>(options.piece * options.batch));
  return *std::max_element(pieces.begin(), pieces.end(), [](const auto& a, const auto& b) {
    return a.sequences * a.tokens < b.sequences * b.tokens;
  });
}

INSTANTIATE_TEST_SUITE_P(
    Evaluations, PlannedEvaluation,
    ::testing::Values(
        Measured{.name = "mamba2", .model = mamba2(), .options = kCurve},
        Measured{.name = "mamba1", .model = mamba1(), .options = kCurve},
        Measured{.name = "mlp", .model = with_mlp(), .options = kCurve},
        Measured{.name = "fp64_two_threads",
                 .model = mamba2(),
                 .options = kCurve,
                 .dtype = core::DType::kF64,
                 .threads = 2},
        Measured{.name = "sequence_ranks", .model = mamba2(), .options = kCurve, .mesh = {1, 3}},
        Measured{
            .name = "mamba1_sequence_ranks", .model = mamba1(), .options = kCurve, .mesh = {2, 2}},
        Measured{.name = "windows",
                 .model = mamba2(),
                 .options = in_windows(),
                 .sequences = 16,
                 .tokens = 64},
        Measured{.name = "states", .model = mamba2(), .options = kCurve, .measure = "states"},
        Measured{.name = "effrem",
                 .model = mamba2(),
                 .options = of_effrem(),
                 .sequences = largest_effrem_piece().sequences,
                 .tokens = largest_effrem_piece().tokens,
                 .measure = "effrem"}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace longhaul::eval
