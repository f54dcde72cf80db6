// What a training checkpoint costs: how long training stands still (copying, and naming the files
// once they are written) over how long the writing itself takes meanwhile. Under mpirun every rank
// writes its share.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "bench/support/machine.h"
#include "data/recall_task.h"
#include "data/samplers.h"
#include "dist/mpi_communicator.h"
#include "model/init.h"
#include "trainer/checkpoint_writer.h"
#include "trainer/initial_state.h"
#include "trainer/optimizer.h"

namespace {

using namespace longhaul;

/// Seconds, of the slowest rank.
struct Measured {
  double begin = 0, wait = 0, finish = 0;  ///< training stands still
  double writing = 0;
  double stall() const { return begin + wait + finish; }
};

/// One checkpoint. In the place of forward and backward: matrix products.
Measured measure(dist::Communicator& world, trainer::CheckpointWriter& writer,
                 trainer::TrainingState& state) {
  core::Context& context = state.model.context();
  state.step += 1;
  world.barrier();
  const double start = bench::seconds(false);
  writer.begin(state);
  const double begun = bench::seconds(false);
  bench::gemm_rate(context);
  const double computed = bench::seconds(false);
  writer.wait_for_copy();
  const double copied = bench::seconds(false);
  while (writer.is_busy()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const double written = bench::seconds(false);
  world.barrier();
  const double ready = bench::seconds(false);
  writer.finish();
  const double finished = bench::seconds(false);
  bench::gemm_rate(context);  // the next steps; what was not kept is removed meanwhile
  return {.begin = world.max(begun - start),
          .wait = world.max(copied - computed),
          .finish = world.max(finished - ready),
          .writing = world.max(written - begun)};
}

}  // namespace

int main(int argc, char** argv) {
  longhaul::bench::end_on_errors("bench_checkpoint");
  dist::MpiSession session(&argc, &argv);
  dist::Communicator& world = session.world();
  CLI::App app{"What a training checkpoint costs"};
  std::string folder = "checkpoint-bench";
  int64_t layers = 24, repeats = 5;
  app.add_option("--folder", folder, "where checkpoints are written, and removed");
  app.add_option("--layers", layers, "of a model of the width of mamba2-130m");
  app.add_option("--repeats", repeats, "checkpoints after the first, which also gets its memory")
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);

  core::Context context({}, 1);
  const dist::Mesh mesh(world, {.data = world.size(), .sequence = 1});
  const model::ModelConfig shape{.vocabulary = 50288,
                                 .width = 768,
                                 .layers = layers,
                                 .heads = 24,
                                 .head_dim = 64,
                                 .state_dim = 128,
                                 .chunk = 128};
  model::LanguageModel model(context, shape, core::DType::kF32);
  model::initialize(model, 1);
  trainer::Optimizer optimizer(context, model.parameters(), {});
  const auto source = trainer::make_source({}, {.context = context,
                                                .specs = model.state_specs(),
                                                .state_dtype = model.dtype(),
                                                .group = mesh.data_group(),
                                                .batch = 1,
                                                .seed = 1});
  const auto batches = data::make_recall_source({}, 64, 1, {world.size(), world.rank(), 1}, false);
  trainer::TrainingState state{
      .model = model, .optimizer = optimizer, .source = *source, .batches = *batches};
  std::vector<Measured> all;
  {
    trainer::CheckpointWriter writer(folder, mesh, {.keep = 1});
    for (int64_t i = 0; i <= repeats; ++i) all.push_back(measure(world, writer, state));
  }
  const double first = all.front().stall() / all.front().writing;
  all.erase(all.begin());
  const auto share = [](const Measured& one) { return one.stall() / one.writing; };
  std::sort(all.begin(), all.end(),
            [&](const Measured& a, const Measured& b) { return share(a) < share(b); });
  const Measured& median = all[all.size() / 2];
  const auto bytes = static_cast<double>(3 * model.parameters().values().bytes());
  if (world.rank() == 0) {
    std::filesystem::remove_all(folder);
    std::cout << nlohmann::ordered_json{{"bench", "checkpoint"},
                                        {"ranks", world.size()},
                                        {"bytes", bytes},
                                        {"writing_seconds", median.writing},
                                        {"begin_seconds", median.begin},
                                        {"wait_seconds", median.wait},
                                        {"finish_seconds", median.finish},
                                        {"stall_over_writing", share(median)},
                                        {"stall_over_writing_most", share(all.back())},
                                        {"first_stall_over_writing", first},
                                        {"machine",
                                         nlohmann::json::parse(bench::machine_json(context))}}
                     .dump(2)
              << std::endl;
  }
  return 0;
}
