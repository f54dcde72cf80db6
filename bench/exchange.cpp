// Time of the exchanges of states and of collectives, each by itself, under mpirun: medians, one
// JSON object a line.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "bench/support/machine.h"
#include "dist/state_exchange.h"
#include "launch/rank_session.h"

namespace {

using namespace longhaul;
using Clock = std::chrono::steady_clock;

struct Timing {
  int64_t repeats = 7;
  bool one_clock = false;
};

double now() { return std::chrono::duration<double>(Clock::now().time_since_epoch()).count(); }

/// All ranks begin together: at a moment that they agree on, or after a barrier, which some leave
/// earlier.
double begin_together(dist::Communicator& world, const Timing& timing) {
  if (!timing.one_clock) {
    world.barrier();
    return now();
  }
  constexpr double kAhead = 0.05;
  const double start = world.max(now()) + kAhead;
  while (now() < start) std::this_thread::sleep_for(std::chrono::microseconds(20));
  return start;
}

/// Median over repeats of the slowest rank.
double measure(dist::Communicator& world, const Timing& timing, const std::function<void()>& body) {
  std::vector<double> times;
  for (int64_t i = 0; i <= timing.repeats; ++i) {
    const double start = begin_together(world, timing);
    body();
    const double slowest = world.max(now() - start);
    if (i > 0) times.push_back(slowest);  // the first makes connections
  }
  std::nth_element(times.begin(), times.begin() + static_cast<int64_t>(times.size()) / 2,
                   times.end());
  return times[times.size() / 2];
}

class Bench {
 public:
  Bench(core::Context& context, dist::Communicator& world, const Timing& timing, int64_t elements)
      : context_(context),
        world_(world),
        timing_(timing),
        elements_(elements),
        decay_(core::Tensor::zeros(context, core::DType::kF32, {1, kGroups})),
        state_(core::Tensor::zeros(context, core::DType::kF32, {1, kGroups, elements / kGroups})),
        incoming_(context, core::DType::kF32, state_.shape()),
        all_(core::Tensor::zeros(context, core::DType::kF32, {world.size(), elements})) {}

  void exchange(dist::ExchangeAlgorithm algorithm) {
    dist::StateExchange exchange(context_, world_, algorithm);
    report(enum_names(algorithm)[static_cast<size_t>(algorithm)], state_.view().bytes(), [&] {
      exchange.start({.log_decay = decay_, .state = state_, .boundary = {}, .incoming = incoming_})
          ->finish();
    });
  }
  void all_reduce() {
    const core::TensorView whole = flat(state_);
    report("all_reduce", whole.bytes(), [&] { world_.all_reduce_sum(whole); });
  }
  void reduce_scatter() {
    const core::TensorView full = flat(all_), own = flat(state_);
    report("reduce_scatter", full.bytes(), [&] { world_.reduce_scatter_sum(full, own); });
  }
  void gather() {
    const core::TensorView full = flat(all_), own = flat(state_);
    report("gather", own.bytes(), [&] { world_.all_gather(own, full); });
  }

 private:
  static constexpr int64_t kGroups = 4;
  static core::TensorView flat(const core::Tensor& tensor) {
    return tensor.view().reshape({tensor.elements()});
  }

  void report(std::string_view what, int64_t bytes, const std::function<void()>& body) {
    const double seconds = measure(world_, timing_, body);
    if (world_.rank() != 0) return;
    const nlohmann::ordered_json row{{"bench", "exchange"},
                                     {"what", what},
                                     {"ranks", world_.size()},
                                     {"bytes", bytes},
                                     {"seconds", seconds}};
    std::cout << row.dump() << std::endl;
  }

  core::Context& context_;
  dist::Communicator& world_;
  Timing timing_;
  int64_t elements_;
  core::Tensor decay_, state_, incoming_, all_;
};

}  // namespace

int main(int argc, char** argv) {
  longhaul::bench::end_on_errors("bench_exchange");
  CLI::App app{"Exchanges of states and collectives by themselves; under mpirun"};
  Timing timing;
  std::vector<int64_t> elements{1 << 18};
  app.add_option("--elements", elements, "of a state, fp32; multiples of 4")
      ->check(CLI::PositiveNumber);
  app.add_option("--repeats", timing.repeats, "the median counts")->check(CLI::PositiveNumber);
  app.add_flag("--one-clock", timing.one_clock,
               "all ranks are on one machine: begin at one moment instead of after a barrier");
  CLI11_PARSE(app, argc, argv);
  launch::RankSession session(&argc, &argv);
  core::Context context(core::Device{}, 1);
  for (const int64_t each : elements) {
    Bench bench(context, session.world(), timing, each / 4 * 4);
    for (const auto algorithm :
         {dist::ExchangeAlgorithm::kAllGather, dist::ExchangeAlgorithm::kChain,
          dist::ExchangeAlgorithm::kLogStep}) {
      bench.exchange(algorithm);
    }
    bench.all_reduce();
    bench.reduce_scatter();
    bench.gather();
  }
  return 0;
}
