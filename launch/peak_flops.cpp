#include "launch/peak_flops.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "kernels/linear/gemm_cpu.h"

namespace longhaul::launch {

namespace {

constexpr double kSeconds = 0.2;

template <class T>
double measure(core::Context& context, int64_t size) {
  const std::vector<T> a(static_cast<size_t>(size * size), T(0.5));
  std::vector<T> c(a.size());
  kernels::cpu::Gemm<T> product;
  product.m = product.n = product.k = size;
  product.a = product.b = a.data();
  product.lda = product.ldb = product.ldc = size;
  product.c = c.data();
  kernels::cpu::gemm(context, product);  // first touch, and oneDNN's code generation
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  auto last = begin;
  double shortest = 1e30;
  while (std::chrono::duration<double>(last - begin).count() < kSeconds) {
    kernels::cpu::gemm(context, product);
    const auto now = Clock::now();
    shortest = std::min(shortest, std::chrono::duration<double>(now - last).count());
    last = now;
  }
  return 2.0 * static_cast<double>(size * size * size) / shortest;
}

}  // namespace

double measure_peak_flops(core::Context& context, core::DType dtype) {
  if (!context.device().is_cpu()) return 0;
  return dtype == core::DType::kF64 ? measure<double>(context, 256) : measure<float>(context, 512);
}

}  // namespace longhaul::launch
