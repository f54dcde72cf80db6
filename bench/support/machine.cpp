#include "bench/support/machine.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

namespace longhaul::bench {

double gemm_rate(core::Context& context) {
  constexpr int64_t kSide = 2048;
  const std::vector<float> a(kSide * kSide, 1.0f), b(kSide * kSide, 0.5f);
  std::vector<float> c(kSide * kSide);
  const int before = omp_get_max_threads();
  omp_set_num_threads(context.threads());
  double best = 0;
  for (int repeat = 0; repeat < 6; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    dnnl_sgemm('N', 'N', kSide, kSide, kSide, 1.0f, a.data(), kSide, b.data(), kSide, 0.0f,
               c.data(), kSide);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * kSide * kSide * kSide / took.count());
  }
  omp_set_num_threads(before);
  return best;
}

std::string machine_json() {
  nlohmann::json machine;
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    if (line.starts_with("model name")) machine["processor"] = line.substr(line.find(':') + 2);
  }
  machine["processors"] = core::available_threads();
  return machine.dump();
}

int64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

}  // namespace longhaul::bench
