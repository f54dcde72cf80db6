#include <algorithm>

#include "kernels/core/dispatch.h"
#include "kernels/core/row_blocks.h"
#include "kernels/linear/gemm_cpu.h"
#include "kernels/linear/linear.h"

namespace longhaul::kernels::cpu {
namespace {

/// Row stride of a matrix as BLAS wants it: a single row may have any stride.
int64_t leading(const core::TensorView& matrix) {
  return std::max<int64_t>({matrix.stride(0), matrix.extent(1), 1});
}

/// There is something to write into y before the product is added.
bool begins_with_terms(const LinearForward& args) {
  return args.bias || (args.addend && args.addend.raw() != args.y.raw());
}

/// y = addend + bias, each where there is one.
template <class T>
void set_terms(core::Context& context, const LinearForward& args) {
  const int64_t rows = args.y.extent(0), out = args.y.extent(1);
  const T* bias = args.bias ? args.bias.data<T>() : nullptr;
  core::parallel_ranges(context, rows, 1 + 16384 / (out + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      T* y = args.y.data<T>() + r * leading(args.y);
      const T* addend = args.addend ? args.addend.data<T>() + r * leading(args.addend) : nullptr;
      if (bias == nullptr) {
        std::copy(addend, addend + out, y);
      } else {
        for (int64_t j = 0; j < out; ++j) y[j] = addend ? addend[j] + bias[j] : bias[j];
      }
    }
  });
}

template <class T>
void forward(core::Context& context, const LinearForward& args) {
  const int64_t rows = args.x.extent(0), in = args.x.extent(1), out = args.weight.extent(0);
  T* y = args.y.data<T>();
  const int64_t ldy = leading(args.y);
  if (begins_with_terms(args)) set_terms<T>(context, args);
  gemm(context, Gemm<T>{.transpose_b = true,
                        .m = rows,
                        .n = out,
                        .k = in,
                        .a = args.x.data<T>(),
                        .lda = leading(args.x),
                        .b = args.weight.data<T>(),
                        .ldb = leading(args.weight),
                        .beta = args.bias || args.addend ? T(1) : T(0),
                        .c = y,
                        .ldc = ldy});
}

template <class T>
void add_bias_gradient(core::Context& context, const LinearBackward& args) {
  const int64_t out = args.dy.extent(1), ld = leading(args.dy);
  const T* dy = args.dy.data<T>();
  core::sum_over_rows(context, args.dy.extent(0), out, args.dbias.data<T>(),
                      [&](int64_t begin, int64_t end, T* sums) {
                        for (int64_t r = begin; r < end; ++r) {
                          const T* row = dy + r * ld;
#pragma omp simd
                          for (int64_t j = 0; j < out; ++j) sums[j] += row[j];
                        }
                      });
}

template <class T>
void backward(core::Context& context, const LinearBackward& args) {
  const int64_t rows = args.dy.extent(0), out = args.dy.extent(1), in = args.weight.extent(1);
  if (args.dx) {
    gemm(context, Gemm<T>{.m = rows,
                          .n = in,
                          .k = out,
                          .a = args.dy.data<T>(),
                          .lda = leading(args.dy),
                          .b = args.weight.data<T>(),
                          .ldb = leading(args.weight),
                          .beta = args.add_to_dx ? T(1) : T(0),
                          .c = args.dx.data<T>(),
                          .ldc = leading(args.dx)});
  }
  if (args.dweight) {
    gemm(context, Gemm<T>{.transpose_a = true,
                          .m = out,
                          .n = in,
                          .k = rows,
                          .a = args.dy.data<T>(),
                          .lda = leading(args.dy),
                          .b = args.x.data<T>(),
                          .ldb = leading(args.x),
                          .beta = args.overwrite_dweight ? T(0) : T(1),
                          .c = args.dweight.data<T>(),
                          .ldc = leading(args.dweight)});
  }
  if (args.dbias) add_bias_gradient<T>(context, args);
}

}  // namespace

void linear_forward(core::Context& context, const LinearForward& args) {
  core::dispatch_float("linear_forward", args.x.dtype(),
                       [&]<class T>(T) { forward<T>(context, args); });
}

void linear_backward(core::Context& context, const LinearBackward& args) {
  core::dispatch_float("linear_backward", args.dy.dtype(),
                       [&]<class T>(T) { backward<T>(context, args); });
}

}  // namespace longhaul::kernels::cpu
