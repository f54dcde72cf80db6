// Speed of the measures of `longhaul eval` as a share of the forward pass's own, measured in the
// same run at the same batch and piece: what reading, bucketing, states and suffixes cost.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/support/machine.h"
#include "bench/support/shapes.h"
#include "dist/thread_communicator.h"
#include "eval/effrem.h"
#include "eval/perplexity.h"
#include "eval/states.h"
#include "model/init.h"

namespace {

using namespace longhaul;

struct Timing {
  int64_t repeats = 3;
  bool cpu_time = false;
};

/// Of the fastest run; one before them warms up.
double fastest(const Timing& timing, const std::function<void()>& run) {
  double best = 1e30;
  for (int64_t i = 0; i <= timing.repeats; ++i) {
    const double start = bench::seconds(timing.cpu_time);
    run();
    if (i > 0) best = std::min(best, bench::seconds(timing.cpu_time) - start);
  }
  return best;
}

/// Tokens a second of forward passes over `options.batch` rows of `options.piece` tokens that carry
/// their state: with losses, or up to the last hidden state only.
double forward_rate(model::LanguageModel& model, const eval::CurveOptions& options,
                    const Timing& timing, bool with_losses) {
  core::Context& context = model.context();
  const core::Shape shape{options.batch, options.piece};
  const auto count = static_cast<size_t>(shape.elements());
  const auto tokens = core::Tensor::from(context, std::vector<int32_t>(count, 1), shape);
  const core::Tensor loss(context, core::DType::kF32, shape);
  const core::Tensor predicted(context, core::DType::kI32, shape);
  const model::RecurrentState state = model.make_state(options.batch);
  model::RecurrentState next = model.make_state(options.batch);
  model::ForwardPass pass{.tokens = tokens, .initial = &state, .final_state = &next};
  if (with_losses) {
    pass.labels = tokens;
    pass.loss = loss;
    pass.predicted = predicted;
  }
  return static_cast<double>(count) / fastest(timing, [&] { model.forward(pass); });
}

}  // namespace

int main(int argc, char** argv) {
  longhaul::bench::end_on_errors("bench_evaluation");
  CLI::App app{
      "Speed of the measures of longhaul eval over that of the forward pass.\n"
      "  bench_evaluation --shape text --length 16384"};
  std::string name = "text", json;
  Timing timing;
  int threads = 0;
  eval::CurveOptions options{.length = 16384, .sequences = 8, .piece = 2048, .batch = 8};
  app.add_option("--shape", name, "recall | text | mamba2-130m to 2.7b")
      ->check(CLI::IsMember(bench::shapes()));
  app.add_option("--length", options.length, "tokens of a sequence");
  app.add_option("--sequences", options.sequences, "sequences (effrem reads one)");
  app.add_option("--piece", options.piece, "tokens of a sequence read at a time");
  app.add_option("--batch", options.batch, "sequences read side by side");
  app.add_option("--repeats", timing.repeats, "timed runs; the fastest counts");
  app.add_option("--threads", threads, "threads (0: all processors)");
  app.add_flag("--cpu-time", timing.cpu_time, "count processor time instead of the wall clock");
  app.add_option("--json", json, "also write the result to this file");
  CLI11_PARSE(app, argc, argv);

  core::Context context({}, threads > 0 ? threads : core::available_threads());
  model::LanguageModel model(context, bench::shapes().at(name).config);
  model::initialize(model, 1);
  const auto world = dist::solo_communicator();
  const dist::Mesh mesh(*world, {});
  const data::RecallTask task{.keys = 128, .values = 64, .reach = 16};
  const eval::Sequences sequences = eval::recall_sequences(task, options);
  eval::CurveOptions one = options;
  one.sequences = 1;
  one.length -= 1 - one.length % 2;  // to end in a query
  double suffix_tokens = static_cast<double>(one.length);
  for (int64_t t : eval::effrem_grid(one.length)) {
    suffix_tokens += static_cast<double>(one.length - t);
  }

  const double tokens = static_cast<double>(options.length * options.sequences);
  nlohmann::ordered_json measures;
  const auto measure = [&](const char* what, double count, bool with_losses,
                           const std::function<void()>& run) {
    const double rate = count / fastest(timing, run);
    const double forward = forward_rate(model, options, timing, with_losses);
    measures[what] = {{"tokens_per_second", rate},
                      {"forward_tokens_per_second", forward},
                      {"ratio_to_forward", rate / forward}};
  };
  measure("perplexity", tokens, true,
          [&] { eval::evaluate_curve(mesh, model, sequences, options); });
  measure("states", tokens, false, [&] { eval::evaluate_states(mesh, model, sequences, options); });
  measure("effrem", suffix_tokens, false,
          [&] { eval::evaluate_effrem(mesh, model, eval::recall_sequences(task, one), one); });
  nlohmann::ordered_json result{{"bench", "evaluation"},
                                {"shape", name},
                                {"length", options.length},
                                {"sequences", options.sequences},
                                {"piece", options.piece},
                                {"batch", options.batch},
                                {"threads", context.threads()},
                                {"measures", measures},
                                {"machine", nlohmann::json::parse(bench::machine_json(context))}};
  std::cout << result.dump(2) << "\n";
  if (!json.empty()) std::ofstream(json) << result.dump(2) << "\n";
  return 0;
}
