#include "kernels/core/dispatch.h"
#include "kernels/core/row_blocks.h"
#include "kernels/core/vector_math.h"
#include "kernels/ssd/time_step.h"

namespace longhaul::kernels::cpu {
namespace {

template <class T>
void forward(core::Context& context, const TimeStepForward& args) {
  const int64_t rows = args.raw.extent(0), heads = args.raw.extent(1);
  const T* bias = args.bias.data<T>();
  const T low = static_cast<T>(args.low), high = static_cast<T>(args.high);
  core::parallel_ranges(context, rows, 1 + 4096 / (heads + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* raw = args.raw.data<T>() + r * args.raw.stride(0);
      T* dt = args.dt.data<T>() + r * heads;
#pragma omp simd
      for (int64_t h = 0; h < heads; ++h) {
        T step = core::softplus(raw[h] + bias[h]);
        step = step < low ? low : step;
        dt[h] = step > high ? high : step;
      }
    }
  });
}

template <class T>
void backward(core::Context& context, const TimeStepBackward& args) {
  const int64_t rows = args.raw.extent(0), heads = args.raw.extent(1);
  const T* bias = args.bias.data<T>();
  const T low = static_cast<T>(args.low), high = static_cast<T>(args.high);
  auto body = [&](int64_t begin, int64_t end, T* dbias) {
    for (int64_t r = begin; r < end; ++r) {
      const T* raw = args.raw.data<T>() + r * args.raw.stride(0);
      const T* ddt = args.ddt.data<T>() + r * heads;
      T* draw = args.draw.data<T>() + r * args.draw.stride(0);
#pragma omp simd
      for (int64_t h = 0; h < heads; ++h) {
        const T sum = raw[h] + bias[h];
        const T step = core::softplus(sum);
        const T slope = core::sigmoid(sum);
        const T above = step < low ? T(0) : slope;
        const T gradient = ddt[h] * (step > high ? T(0) : above);
        draw[h] = gradient;
        dbias[h] += gradient;
      }
    }
  };
  core::sum_over_rows(context, rows, heads, args.dbias.data<T>(), body);
}

}  // namespace

void time_step_forward(core::Context& context, const TimeStepForward& args) {
  core::dispatch_float("time_step_forward", args.raw.dtype(),
                       [&]<class T>(T) { forward<T>(context, args); });
}

void time_step_backward(core::Context& context, const TimeStepBackward& args) {
  core::dispatch_float("time_step_backward", args.raw.dtype(),
                       [&]<class T>(T) { backward<T>(context, args); });
}

}  // namespace longhaul::kernels::cpu
