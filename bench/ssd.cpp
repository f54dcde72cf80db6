// How fast the CPU recurrence runs beside oneDNN's matrix product on the same cores, in the same
// minute. FLOPs are the useful ones: causal pairs only, nothing that is computed twice.
#include <omp.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/support/machine.h"
#include "bench/support/shapes.h"
#include "kernels/core/context.h"
#include "kernels/core/random.h"
#include "kernels/linear/gemm_cpu.h"
#include "kernels/ssd/ssd.h"

namespace {

using longhaul::core::Context;
using longhaul::core::DType;
using longhaul::core::Shape;
using longhaul::core::Tensor;
namespace kernels = longhaul::kernels;
namespace bench = longhaul::bench;

struct Options {
  int threads = 0, repetitions = 20;
  bool cpu_time = false;
  std::vector<int64_t> chunks = {32, 64, 128, 256};
  std::string problem;
};

struct Problem {
  std::string name;
  int64_t batch, length, heads, head_dim, groups, state;
};

Tensor random(Context& context, const Shape& shape, uint64_t seed, double scale, double shift = 0) {
  Tensor tensor(context, DType::kF32, shape);
  float* data = tensor.data<float>();
  // A short period is enough, and Box-Muller is slow.
  for (int64_t i = 0, count = shape.elements(); i < count; ++i) {
    data[i] =
        i < 4099 ? static_cast<float>(shift + scale * longhaul::core::normal(
                                                          {.seed = seed}, static_cast<uint64_t>(i)))
                 : data[i - 4099];
  }
  return tensor;
}

/// x, B and C are slices of one buffer, as the model holds them.
class Recurrence {
 public:
  Recurrence(Context& context, const Problem& p, int64_t chunk) {
    const int64_t E = p.heads * p.head_dim, GN = p.groups * p.state;
    const Shape states{p.batch, p.heads, p.head_dim, p.state};
    const Shape chunks{p.batch, kernels::ssd_chunks(p.length, chunk), p.heads, p.head_dim, p.state};
    const auto keep = [&](Tensor tensor) {
      tensors_.push_back(std::move(tensor));
      return tensors_.back().view();
    };
    const auto packed = keep(random(context, {p.batch, p.length, E + 2 * GN}, 1, 1));
    const auto dpacked = keep(random(context, {p.batch, p.length, E + 2 * GN}, 2, 0));
    forward.x = packed.slice(2, 0, E).split_last(p.heads, p.head_dim);
    forward.B = packed.slice(2, E, E + GN).split_last(p.groups, p.state);
    forward.C = packed.slice(2, E + GN, E + 2 * GN).split_last(p.groups, p.state);
    forward.dt = keep(random(context, {p.batch, p.length, p.heads}, 3, 0, 0.05));
    forward.A_log = keep(random(context, {p.heads}, 4, 1));
    forward.D = keep(random(context, {p.heads}, 5, 1));
    forward.initial_state = keep(random(context, states, 6, 1));
    forward.chunk = chunk;
    forward.y = keep(random(context, {p.batch, p.length, p.heads, p.head_dim}, 7, 0));
    forward.final_state = keep(random(context, states, 8, 0));
    forward.chunk_states = keep(random(context, chunks, 9, 0));
    backward = {.x = forward.x,
                .dt = forward.dt,
                .A_log = forward.A_log,
                .B = forward.B,
                .C = forward.C,
                .D = forward.D,
                .chunk_states = forward.chunk_states,
                .chunk = chunk,
                .dy = keep(random(context, {p.batch, p.length, p.heads, p.head_dim}, 10, 1)),
                .dfinal_state = keep(random(context, states, 11, 1)),
                .dx = dpacked.slice(2, 0, E).split_last(p.heads, p.head_dim),
                .ddt = keep(random(context, {p.batch, p.length, p.heads}, 12, 0)),
                .dB = dpacked.slice(2, E, E + GN).split_last(p.groups, p.state),
                .dC = dpacked.slice(2, E + GN, E + 2 * GN).split_last(p.groups, p.state),
                .dA_log = keep(random(context, {p.heads}, 13, 0)),
                .dD = keep(random(context, {p.heads}, 14, 0)),
                .dinitial_state = keep(random(context, states, 15, 0)),
                .dchunk_states = {}};
  }
  kernels::SsdForward forward;
  kernels::SsdBackward backward;

 private:
  std::vector<Tensor> tensors_;
};

/// Least times of several runs, the matrix product between the others so that all see the same
/// machine.
struct Times {
  double forward, backward, gemm;
};
constexpr int64_t kGemm = 1024;

Times measure(Context& context, const Options& options, const Recurrence& recurrence) {
  const Tensor a = random(context, {kGemm, kGemm}, 16, 1),
               b = random(context, {kGemm, kGemm}, 17, 1),
               c = random(context, {kGemm, kGemm}, 18, 0);
  const kernels::cpu::Gemm<float> product{.m = kGemm,
                                          .n = kGemm,
                                          .k = kGemm,
                                          .a = a.data<float>(),
                                          .lda = kGemm,
                                          .b = b.data<float>(),
                                          .ldb = kGemm,
                                          .c = c.data<float>(),
                                          .ldc = kGemm};
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Times best{kInfinity, kInfinity, kInfinity};
  const auto take = [&](double& least, const std::function<void()>& body) {
    const double start = bench::seconds(options.cpu_time);
    body();
    least = std::min(least, bench::seconds(options.cpu_time) - start);
  };
  for (int i = 0; i < options.repetitions; ++i) {
    take(best.forward, [&] { kernels::ssd_forward(context, recurrence.forward); });
    take(best.gemm, [&] { kernels::cpu::sgemm(product); });
    take(best.backward, [&] { kernels::ssd_backward(context, recurrence.backward); });
  }
  return best;
}

void report(const Problem& p, int64_t chunk, const Options& options, const Times& times) {
  const bench::SsdWork work = bench::ssd_work({.heads = p.heads,
                                               .head_dim = p.head_dim,
                                               .state_dim = p.state,
                                               .groups = p.groups,
                                               .chunk = chunk},
                                              p.batch, p.length);
  const double forward = 1e-9 * work.forward / times.forward;
  const double backward = 1e-9 * work.backward / times.backward;
  const double gemm = 2e-9 * kGemm * kGemm * kGemm / times.gemm,
               tokens = static_cast<double>(p.batch * p.length);
  const nlohmann::json row = {{"problem", p.name},
                              {"batch", p.batch},
                              {"length", p.length},
                              {"heads", p.heads},
                              {"head_dim", p.head_dim},
                              {"groups", p.groups},
                              {"state", p.state},
                              {"chunk", chunk},
                              {"threads", options.threads},
                              {"gemm_gflops", gemm},
                              {"forward_gflops", forward},
                              {"backward_gflops", backward},
                              {"forward_over_gemm", forward / gemm},
                              {"backward_over_gemm", backward / gemm},
                              {"forward_ns_a_token", 1e9 * times.forward / tokens},
                              {"backward_ns_a_token", 1e9 * times.backward / tokens}};
  std::printf("%s\n", row.dump().c_str());
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  longhaul::bench::end_on_errors("bench_ssd");
  Options options;
  CLI::App app(
      "Forward and backward of the CPU recurrence beside dnnl_sgemm; one JSON object a line");
  app.add_option("--threads", options.threads, "threads (0: all this process may use)");
  app.add_option("--repetitions", options.repetitions, "the least time of so many runs counts");
  app.add_option("--chunk", options.chunks, "chunk lengths to try");
  app.add_flag("--cpu-time", options.cpu_time,
               "count processor time instead of the wall clock: for one thread on a machine that "
               "others use too");
  app.add_option("--problem", options.problem, "only this one (mamba2-130m, small)");
  CLI11_PARSE(app, argc, argv);
  if (options.threads == 0) options.threads = longhaul::core::available_threads();
  omp_set_num_threads(options.threads);  // dnnl_sgemm's
  Context context({}, options.threads);
  const std::vector<Problem> problems = {{"mamba2-130m", 1, 2048, 24, 64, 1, 128},
                                         {"mamba2-130m", 8, 2048, 24, 64, 1, 128},
                                         {"small", 64, 64, 2, 64, 1, 64}};
  for (const Problem& problem : problems) {
    if (!options.problem.empty() && problem.name != options.problem) continue;
    for (const int64_t chunk : options.chunks) {
      if (chunk > problem.length) continue;
      const Recurrence recurrence(context, problem, chunk);
      report(problem, chunk, options, measure(context, options, recurrence));
    }
  }
  return 0;
}
