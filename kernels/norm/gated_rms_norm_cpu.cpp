#include <cmath>
#include <vector>

#include "kernels/core/dispatch.h"
#include "kernels/core/row_blocks.h"
#include "kernels/core/vector_math.h"
#include "kernels/norm/gated_rms_norm.h"

namespace longhaul::kernels::cpu {
namespace {

template <class T>
void forward(core::Context& context, const GatedRmsNormForward& args) {
  const int64_t rows = args.y.extent(0), width = args.y.extent(1), groups = args.rstd.extent(1);
  const int64_t size = width / groups;
  core::parallel_ranges(context, rows, 1 + 8192 / (width + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t g = 0; g < groups; ++g) {
        const T* y = args.y.data<T>() + r * width + g * size;
        const T* z = args.z.data<T>() + r * args.z.stride(0) + g * size;
        const T* weight = args.weight.data<T>() + g * size;
        T* out = args.out.data<T>() + r * width + g * size;
        T squares = 0;
#pragma omp simd reduction(+ : squares)
        for (int64_t i = 0; i < size; ++i) {
          const T gated = y[i] * core::silu(z[i]);
          out[i] = gated;
          squares += gated * gated;
        }
        const T rstd =
            static_cast<T>(1 / std::sqrt(static_cast<double>(squares) / size + args.epsilon));
        args.rstd.data<T>()[r * groups + g] = rstd;
#pragma omp simd
        for (int64_t i = 0; i < size; ++i) out[i] = out[i] * rstd * weight[i];
      }
    }
  });
}

/// One group of one row; sigma [size] is scratch. With n = y ⊙ silu(z), n̂ = rstd n, v = weight ⊙
/// dout: dn = rstd (v − n̂ mean(n̂ ⊙ v)), dy = dn ⊙ silu(z), dz = dn ⊙ y ⊙ silu'(z).
template <class T>
struct Group {
  int64_t size;
  const T *y, *z, *weight, *dout;
  T rstd;
  T *dy, *dz, *dweight, *sigma;

  void backward() const {
    T product = 0;
#pragma omp simd reduction(+ : product)
    for (int64_t i = 0; i < size; ++i) {
      const T s = core::sigmoid(z[i]);
      sigma[i] = s;
      product += (y[i] * (z[i] * s)) * (weight[i] * dout[i]);
    }
    const T mean = product * rstd * rstd / static_cast<T>(size);
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) {
      const T s = sigma[i], gate = z[i], value = y[i], upstream = dout[i];
      const T gated = value * (gate * s);
      const T dn = rstd * (weight[i] * upstream - gated * mean);
      dy[i] = dn * (gate * s);
      dz[i] = dn * value * core::silu_derivative(gate, s);
      dweight[i] += upstream * (gated * rstd);
    }
  }
};

template <class T>
void backward(core::Context& context, const GatedRmsNormBackward& args) {
  const int64_t rows = args.y.extent(0), width = args.y.extent(1), groups = args.rstd.extent(1);
  const int64_t size = width / groups;
  auto body = [&](int64_t begin, int64_t end, T* dweight) {
    std::vector<T> sigma(static_cast<size_t>(size));
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t first = g * size;
        Group<T>{.size = size,
                 .y = args.y.data<T>() + r * width + first,
                 .z = args.z.data<T>() + r * args.z.stride(0) + first,
                 .weight = args.weight.data<T>() + first,
                 .dout = args.dout.data<T>() + r * width + first,
                 .rstd = args.rstd.data<T>()[r * groups + g],
                 .dy = args.dy.data<T>() + r * width + first,
                 .dz = args.dz.data<T>() + r * args.dz.stride(0) + first,
                 .dweight = dweight + first,
                 .sigma = sigma.data()}
            .backward();
      }
    }
  };
  core::sum_over_rows(context, rows, width, args.dweight.data<T>(), body);
}

}  // namespace

void gated_rms_norm_forward(core::Context& context, const GatedRmsNormForward& args) {
  core::dispatch_float("gated_rms_norm_forward", args.y.dtype(),
                       [&]<class T>(T) { forward<T>(context, args); });
}

void gated_rms_norm_backward(core::Context& context, const GatedRmsNormBackward& args) {
  core::dispatch_float("gated_rms_norm_backward", args.y.dtype(),
                       [&]<class T>(T) { backward<T>(context, args); });
}

}  // namespace longhaul::kernels::cpu
