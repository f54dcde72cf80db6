#include <cmath>

#include "kernels/core/dispatch.h"
#include "kernels/core/row_blocks.h"
#include "kernels/norm/rms_norm.h"

namespace longhaul::kernels::cpu {
namespace {

/// residual += x (x may be null); Σ residual².
template <class T>
T add_row(const T* x, T* residual, int64_t width) {
  T squares = 0;
  if (x == nullptr) {
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < width; ++i) squares += residual[i] * residual[i];
  } else {
#pragma omp simd reduction(+ : squares)
    for (int64_t i = 0; i < width; ++i) {
      const T sum = residual[i] + x[i];
      residual[i] = sum;
      squares += sum * sum;
    }
  }
  return squares;
}

template <class T>
void forward(core::Context& context, const RmsNormForward& args) {
  const int64_t rows = args.residual.extent(0), width = args.residual.extent(1);
  const T* x = args.x ? args.x.data<T>() : nullptr;
  T* residual = args.residual.data<T>();
  core::parallel_ranges(context, rows, 1 + 16384 / (width + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      T* row = residual + r * width;
      const T squares = add_row(x ? x + r * width : nullptr, row, width);
      if (!args.y) continue;
      const T rstd =
          static_cast<T>(1 / std::sqrt(static_cast<double>(squares) / width + args.epsilon));
      args.rstd.data<T>()[r] = rstd;
      const T* weight = args.weight.data<T>();
      T* y = args.y.data<T>() + r * width;
#pragma omp simd
      for (int64_t i = 0; i < width; ++i) y[i] = row[i] * rstd * weight[i];
    }
  });
}

/// With n̂ = residual · rstd, v = weight ⊙ dy: dresidual += rstd (v − n̂ mean(n̂ ⊙ v)); dweight += dy
/// ⊙ n̂.
template <class T>
void backward(core::Context& context, const RmsNormBackward& args) {
  const int64_t rows = args.residual.extent(0), width = args.residual.extent(1);
  const T* weight = args.weight.data<T>();
  auto body = [&](int64_t begin, int64_t end, T* dweight) {
    for (int64_t r = begin; r < end; ++r) {
      const T* residual = args.residual.data<T>() + r * width;
      const T* dy = args.dy.data<T>() + r * width;
      T* dresidual = args.dresidual.data<T>() + r * width;
      const T rstd = args.rstd.data<T>()[r];
      T product = 0;
#pragma omp simd reduction(+ : product)
      for (int64_t i = 0; i < width; ++i) product += residual[i] * (weight[i] * dy[i]);
      const T mean = product * rstd * rstd / static_cast<T>(width);
#pragma omp simd
      for (int64_t i = 0; i < width; ++i) {
        dresidual[i] += rstd * (weight[i] * dy[i] - residual[i] * mean);
        dweight[i] += dy[i] * (residual[i] * rstd);
      }
    }
  };
  core::sum_over_rows(context, rows, width, args.dweight.data<T>(), body);
}

}  // namespace

void rms_norm_forward(core::Context& context, const RmsNormForward& args) {
  core::dispatch_float("rms_norm_forward", args.residual.dtype(),
                       [&]<class T>(T) { forward<T>(context, args); });
}

void rms_norm_backward(core::Context& context, const RmsNormBackward& args) {
  core::dispatch_float("rms_norm_backward", args.residual.dtype(),
                       [&]<class T>(T) { backward<T>(context, args); });
}

}  // namespace longhaul::kernels::cpu
