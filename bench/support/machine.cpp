#include "bench/support/machine.h"

#include <omp.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "kernels/linear/gemm_cpu.h"

namespace longhaul::bench {

namespace {
const char* program_name = "";
}

void end_on_errors(const char* program) {
  program_name = program;
  std::set_terminate([] {
    try {
      if (const std::exception_ptr current = std::current_exception()) {
        std::rethrow_exception(current);
      }
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s: %s\n", program_name, error.what());
      std::_Exit(2);
    }
    std::abort();
  });
}

double seconds(bool cpu_time) {
  timespec now{};
  clock_gettime(cpu_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double gemm_rate(core::Context& context, bool cpu_time) {
  constexpr int64_t kSide = 2048;
  const std::vector<float> a(kSide * kSide, 1.0f), b(kSide * kSide, 0.5f);
  std::vector<float> c(kSide * kSide);
  const kernels::cpu::Gemm<float> product{.m = kSide,
                                          .n = kSide,
                                          .k = kSide,
                                          .a = a.data(),
                                          .lda = kSide,
                                          .b = b.data(),
                                          .ldb = kSide,
                                          .c = c.data(),
                                          .ldc = kSide};
  const int before = omp_get_max_threads();
  omp_set_num_threads(context.threads());
  double best = 0;
  for (int repeat = 0; repeat < 6; ++repeat) {
    const double start = seconds(cpu_time);
    kernels::cpu::sgemm(product);
    best = std::max(best, 2.0 * kSide * kSide * kSide / (seconds(cpu_time) - start));
  }
  omp_set_num_threads(before);
  return best;
}

std::string machine_json(const core::Context& context) {
  nlohmann::json machine;
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.starts_with("model name")) machine["processor"] = line.substr(line.find(':') + 2);
  }
  machine["processors"] = core::available_threads();
  if (!context.device().is_cpu()) machine["gpu"] = core::cuda_device_name(context.device());
  return machine.dump();
}

int64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

}  // namespace longhaul::bench
