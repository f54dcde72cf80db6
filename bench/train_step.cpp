// Speed of full training steps (forward, backward, gradient reduction, clipping, AdamW) on the CPU,
// as a share of oneDNN's fp32 matrix rate measured in the same run. Under mpirun the ranks are
// data-parallel.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "bench/support/machine.h"
#include "dist/gradient_reducer.h"
#include "dist/mpi_communicator.h"
#include "kernels/core/random.h"
#include "model/init.h"
#include "trainer/optimizer.h"

namespace {

using namespace longhaul;

struct Shape {
  model::ModelConfig config;
  int64_t length = 64, sequences = 64;  ///< sequences: over all ranks
};

const std::map<std::string, Shape>& shapes() {
  static const std::map<std::string, Shape> all{{"recall",
                                                 {{.vocabulary = 224,
                                                   .width = 64,
                                                   .layers = 2,
                                                   .heads = 2,
                                                   .head_dim = 64,
                                                   .state_dim = 64,
                                                   .chunk = 64},
                                                  64,
                                                  64}},
                                                {"text",
                                                 {{.vocabulary = 257,
                                                   .width = 128,
                                                   .layers = 2,
                                                   .heads = 4,
                                                   .head_dim = 64,
                                                   .state_dim = 128,
                                                   .chunk = 64},
                                                  64,
                                                  64}},
                                                {"mamba2-130m",
                                                 {{.vocabulary = 50288,
                                                   .width = 768,
                                                   .layers = 24,
                                                   .heads = 24,
                                                   .head_dim = 64,
                                                   .state_dim = 128,
                                                   .chunk = 128},
                                                  2048,
                                                  2}}};
  return all;
}

struct Timing {
  int64_t steps = 5;
  bool cpu_time = false;
};

struct Measured {
  double seconds = 0;  ///< of the fastest step
  double tokens = 0;   ///< of a step, all ranks
};

Measured measure(core::Context& context, dist::Communicator& world, model::LanguageModel& model,
                 const Shape& shape, const Timing& timing) {
  const int64_t rows = shape.sequences / world.size();
  std::vector<int32_t> tokens, labels;
  core::RandomStream random({1, static_cast<uint64_t>(world.rank()), core::RandomPurpose::kTest});
  for (int64_t i = 0; i < rows * shape.length; ++i) {
    tokens.push_back(
        static_cast<int32_t>(random.below(static_cast<uint64_t>(shape.config.vocabulary))));
    labels.push_back(
        static_cast<int32_t>(random.below(static_cast<uint64_t>(shape.config.vocabulary))));
  }
  const core::Shape extent{rows, shape.length};
  trainer::Optimizer optimizer(context, model.parameters(), {});
  dist::GradientReducer reducer(world, model.parameters().gradients());
  model::RecurrentState final_state = model.make_state(rows);
  Measured best{.seconds = 1e30, .tokens = static_cast<double>(shape.sequences * shape.length)};
  for (int64_t step = 0; step <= timing.steps; ++step) {
    world.barrier();
    const double start = bench::seconds(timing.cpu_time);
    reducer.begin_step();
    model.forward_backward(
        {.tokens = {tokens.data(), core::DType::kI32, extent},
         .labels = {labels.data(), core::DType::kI32, extent},
         .scale = 1.0 / best.tokens,
         .final_state = &final_state,
         .gradients_ready = [&](int64_t begin, int64_t end) { reducer.ready(begin, end); }});
    reducer.finish();
    optimizer.step(1e-4, true);
    world.barrier();
    const double took = bench::seconds(timing.cpu_time) - start;
    if (step > 0) best.seconds = std::min(best.seconds, took);  // step 0 warms up
  }
  best.seconds = world.max(best.seconds);
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  dist::MpiSession session(&argc, &argv);
  CLI::App app{
      "Speed of full training steps on the CPU against oneDNN's fp32 matrix rate.\n"
      "  bench_train_step --shape recall --steps 50\n"
      "  mpirun -n 2 bench_train_step --shape mamba2-130m --threads 1"};
  std::string name = "recall", json;
  Timing timing;
  int64_t length = 0, sequences = 0, chunk = 0;
  int threads = 0;
  app.add_option("--shape", name, "recall | text | mamba2-130m")->check(CLI::IsMember(shapes()));
  app.add_option("--steps", timing.steps, "timed steps; the fastest counts");
  app.add_option("--length", length, "tokens of a sequence (0: the shape's)");
  app.add_option("--sequences", sequences, "sequences of a step over all ranks (0: the shape's)");
  app.add_option("--chunk", chunk, "SSD chunk (0: the shape's)");
  app.add_option("--threads", threads, "threads of a rank (0: its share of the processors)");
  app.add_flag("--cpu-time", timing.cpu_time,
               "count processor time instead of the wall clock: for one thread on a machine that "
               "others use too");
  app.add_option("--json", json, "also write the result to this file");
  CLI11_PARSE(app, argc, argv);

  Shape shape = shapes().at(name);
  if (length > 0) shape.length = length;
  if (sequences > 0) shape.sequences = sequences;
  if (chunk > 0) shape.config.chunk = chunk;
  dist::Communicator& world = session.world();
  if (threads == 0) threads = std::max(1, core::available_threads() / session.local_size());
  core::Context context({}, threads);
  const double before = world.sum(bench::gemm_rate(context, timing.cpu_time));
  model::LanguageModel model(context, shape.config);
  model::initialize(model, 1);
  const Measured measured = measure(context, world, model, shape, timing);
  const double rate = std::max(before, world.sum(bench::gemm_rate(context, timing.cpu_time)));
  if (world.rank() != 0) return 0;

  const double per_second = measured.tokens / measured.seconds;
  const double flops = 3 * model.flops_per_token() * per_second;
  nlohmann::ordered_json result{
      {"bench", "train_step"},
      {"shape", name},
      {"parameters", model.parameters().count()},
      {"length", shape.length},
      {"sequences", shape.sequences},
      {"ranks", world.size()},
      {"threads_per_rank", threads},
      {"tokens_per_second", per_second},
      {"model_gflops", flops / 1e9},
      {"gemm_gflops", rate / 1e9},
      {"ratio_to_gemm", flops / rate},
      {"pool_peak_bytes", context.pool().peak_bytes()},
      {"pool_bytes_per_token",
       static_cast<double>(context.pool().peak_bytes()) * world.size() / measured.tokens},
      {"resident_bytes", bench::peak_resident_bytes()},
      {"machine", nlohmann::json::parse(bench::machine_json())}};
  std::cout << result.dump(2) << "\n";
  if (!json.empty()) std::ofstream(json) << result.dump(2) << "\n";
  return 0;
}
