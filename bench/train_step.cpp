// Speed of full training steps (forward, backward, gradient reduction, clipping, AdamW) as a share
// of the matrix rate measured in the same run: oneDNN's in fp32 on the CPU, cuBLASLt's on a GPU.
// Under mpirun the ranks are data-parallel.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "bench/support/device_bench.h"
#include "bench/support/machine.h"
#include "bench/support/shapes.h"
#include "dist/gradient_reducer.h"
#include "kernels/core/random.h"
#include "launch/command_options.h"
#include "launch/rank_session.h"
#include "model/init.h"
#include "trainer/optimizer.h"
#include "trainer/recorded_pass.h"

namespace {

using namespace longhaul;

using bench::Shape;

struct Timing {
  int64_t steps = 5;
  bool cpu_time = false;
  bool recompute = false, cuda_graphs = false;
};

struct Measured {
  double seconds = 0;  ///< of the fastest step
  double tokens = 0;   ///< of a step, all ranks
};

std::vector<int32_t> random_tokens(const Shape& shape, int64_t rows, int rank) {
  core::RandomStream random({1, static_cast<uint64_t>(rank), core::RandomPurpose::kTest});
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < rows * shape.length; ++i) {
    tokens.push_back(
        static_cast<int32_t>(random.below(static_cast<uint64_t>(shape.config.vocabulary))));
  }
  return tokens;
}

Measured measure(core::Context& context, dist::Communicator& world, model::LanguageModel& model,
                 const Shape& shape, const Timing& timing) {
  const int64_t rows = shape.sequences / world.size();
  std::vector<int32_t> own = random_tokens(shape, rows, world.rank());
  const core::TensorView on_host(own.data(), core::DType::kI32, {rows, shape.length});
  const core::Tensor tokens = core::Tensor::copy_of(context, on_host);
  std::optional<trainer::RecordedPass> recorded;
  if (timing.cuda_graphs) recorded.emplace(model, rows, shape.length);
  trainer::Optimizer optimizer(context, model.parameters(), {});
  dist::GradientReducer reducer(world, model.parameters().gradients());
  model::RecurrentState final_state = model.make_state(rows);
  Measured best{.seconds = 1e30, .tokens = static_cast<double>(shape.sequences * shape.length)};
  for (int64_t step = 0; step <= timing.steps; ++step) {
    core::synchronize(context);
    world.barrier();
    const double start = bench::seconds(timing.cpu_time);
    reducer.begin_step();
    const model::TrainStep pass{
        .tokens = tokens,
        .labels = tokens,
        .scale = 1.0 / best.tokens,
        .final_state = &final_state,
        .overwrite_gradients = true,
        .recompute = timing.recompute,
        .gradients_ready = [&](int64_t begin, int64_t end) { reducer.ready(begin, end); }};
    recorded ? recorded->run(on_host, on_host, pass) : model.forward_backward(pass).sum;
    reducer.finish();
    optimizer.step(1e-4, true);
    core::synchronize(context);
    world.barrier();
    const double took = bench::seconds(timing.cpu_time) - start;
    if (step > 0) best.seconds = std::min(best.seconds, took);  // step 0 warms up, 1 may record
  }
  best.seconds = world.max(best.seconds);
  return best;
}

/// FLOP/s of a matrix product on this rank's device.
double matrix_rate(core::Context& context, core::DType dtype, bool cpu_time) {
  if (context.device().is_cpu()) return bench::gemm_rate(context, cpu_time);
  return bench::measure_ceilings(context, dtype, {}).flops_per_second;
}

}  // namespace

int main(int argc, char** argv) {
  longhaul::bench::end_on_errors("bench_train_step");
  CLI::App app{
      "Speed of full training steps against the matrix rate of the same device.\n"
      "  bench_train_step --shape recall --steps 50\n"
      "  mpirun -n 2 bench_train_step --shape mamba2-130m --threads 1\n"
      "  bench_train_step --shape mamba2-1.3b --device cuda --dtype bf16 --sequences 8"};
  std::string name = "recall", json, dtype = "fp32";
  Timing timing;
  launch::ComputeOptions compute{.device = "cpu"};
  int64_t length = 0, sequences = 0, chunk = 0;
  app.add_option("--shape", name,
                 "recall | text | mamba2-130m, 370m, 780m, 1.3b, 2.7b | mamba1-130m, 370m, 790m, "
                 "1.4b, 2.8b")
      ->check(CLI::IsMember(bench::shapes()));
  app.add_option("--steps", timing.steps, "timed steps; the fastest counts");
  app.add_option("--length", length, "tokens of a sequence (0: the shape's)");
  app.add_option("--sequences", sequences, "sequences of a step over all ranks (0: the shape's)");
  app.add_option("--chunk", chunk, "SSD chunk (0: the shape's)");
  app.add_option("--threads", compute.threads,
                 "threads of a rank (0: its share of the processors)");
  app.add_option("--device", compute.device, "cpu | cuda | auto")->capture_default_str();
  app.add_option("--dtype", dtype, "fp32 | bf16 (cuda)")->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_flag("--recompute", timing.recompute, "run each block's forward again in backward");
  app.add_flag("--cuda-graphs", timing.cuda_graphs,
               "record forward and backward and launch them as a whole (cuda)");
  app.add_flag("--cpu-time", timing.cpu_time,
               "count processor time instead of the wall clock: for one thread on a machine that "
               "others use too");
  app.add_option("--json", json, "also write the result to this file");
  CLI11_PARSE(app, argc, argv);

  Shape shape = bench::shapes().at(name);
  if (length > 0) shape.length = length;
  if (sequences > 0) shape.sequences = sequences;
  if (chunk > 0) shape.config.chunk = chunk;
  launch::RankSession session(&argc, &argv);
  core::Context context = launch::make_context(compute, session);
  if (timing.cuda_graphs && context.device().is_cpu()) {
    std::cerr << "bench_train_step: --cuda-graphs: is there for cuda only\n";
    return 2;
  }
  launch::DeviceWorld device_world(session, context, dist::MpiSession::Options{}.time_limit_s);
  dist::Communicator& world = device_world.get();
  const core::DType type = dtype == "bf16" ? core::DType::kBF16 : core::DType::kF32;
  const auto rate_of_all = [&] {
    return session.world().sum(matrix_rate(context, type, timing.cpu_time));
  };
  const double before = rate_of_all();
  model::LanguageModel model(context, shape.config, type);
  model::initialize(model, 1);
  const Measured measured = measure(context, world, model, shape, timing);
  const double rate = std::max(before, rate_of_all());
  if (!session.is_first()) return 0;

  const double per_second = measured.tokens / measured.seconds;
  const double flops = 3 * model.flops_per_token() * per_second;
  nlohmann::ordered_json result{
      {"bench", "train_step"},
      {"shape", name},
      {"device", core::name_of(context.device())},
      {"dtype", dtype},
      {"recompute", timing.recompute},
      {"cuda_graphs", timing.cuda_graphs},
      {"parameters", model.parameters().count()},
      {"length", shape.length},
      {"sequences", shape.sequences},
      {"chunk", shape.config.chunk},
      {"ranks", world.size()},
      {"threads_per_rank", context.threads()},
      {"tokens_per_second", per_second},
      {"model_gflops", flops / 1e9},
      {"gemm_gflops", rate / 1e9},
      {"ratio_to_gemm", flops / rate},
      {"pool_peak_bytes", context.pool().peak_bytes()},
      {"pool_bytes_per_token",
       static_cast<double>(context.pool().peak_bytes()) * world.size() / measured.tokens},
      {"resident_bytes", bench::peak_resident_bytes()},
      {"machine", nlohmann::json::parse(bench::machine_json(context))}};
  std::cout << result.dump(2) << "\n";
  if (!json.empty()) std::ofstream(json) << result.dump(2) << "\n";
  return 0;
}
