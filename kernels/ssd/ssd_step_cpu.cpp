// One token of the recurrence: bound by reading and writing the state once.
#include <cmath>

#include "kernels/core/dispatch.h"
#include "kernels/core/parallel.h"
#include "kernels/ssd/ssd.h"
#include "kernels/ssd/ssd_chunk_cpu.h"

namespace longhaul::kernels::cpu {
namespace ssd {
namespace {

/// row = decay row + input B; returns ⟨row, C⟩.
template <class T>
T step_row(int64_t state, T decay, T input, const T* B, const T* C, T* row) {
  Vector<T> sums{};
  int64_t n = 0;
  for (; n + kLanes<T> <= state; n += kLanes<T>) {
    const Vector<T> next = decay * load(row + n) + input * load(B + n);
    store<T>(row + n, next);
    sums += next * load(C + n);
  }
  T sum = sum_of_lanes<T>(sums);
  for (; n < state; ++n) {
    row[n] = decay * row[n] + input * B[n];
    sum += row[n] * C[n];
  }
  return sum;
}

/// Elements of states: about ten microseconds.
constexpr int64_t kWorthAThread = int64_t{1} << 16;

template <class T>
void step(core::Context& context, const SsdStep& args) {
  const int64_t heads = args.x.extent(1), head_dim = args.x.extent(2);
  const int64_t groups = args.B.extent(1), state = args.B.extent(2);
  const T* D = optional_data<T>(args.D);
  const int64_t grain = std::max<int64_t>(1, kWorthAThread / (head_dim * state));
  core::parallel_ranges(context, args.x.extent(0) * heads, grain, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t b = item / heads, h = item % heads, offset = h * groups / heads * state;
      const T* x = args.x.data<T>() + b * args.x.stride(0) + h * head_dim;
      const T* B = args.B.data<T>() + b * args.B.stride(0) + offset;
      const T* C = args.C.data<T>() + b * args.C.stride(0) + offset;
      T* y = args.y.data<T>() + b * args.y.stride(0) + h * head_dim;
      T* rows = args.state.data<T>() + item * head_dim * state;
      const T dt = args.dt.data<T>()[b * args.dt.stride(0) + h];
      const T decay = std::exp(dt * decay_rate(args.A_log.data<T>()[h]));
      const T skip = D ? D[h] : T(0);
      for (int64_t p = 0; p < head_dim; ++p) {
        const T sum = step_row(state, decay, dt * x[p], B, C, rows + p * state);
        y[p] = sum + skip * x[p];
      }
    }
  });
}

}  // namespace
}  // namespace ssd

void ssd_step(core::Context& context, const SsdStep& args) {
  core::dispatch_float("ssd_step", args.x.dtype(),
                       [&](auto zero) { ssd::step<decltype(zero)>(context, args); });
}

}  // namespace longhaul::kernels::cpu
