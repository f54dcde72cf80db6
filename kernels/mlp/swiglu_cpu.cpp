#include "kernels/core/dispatch.h"
#include "kernels/core/parallel.h"
#include "kernels/core/vector_math.h"
#include "kernels/mlp/swiglu.h"

namespace longhaul::kernels::cpu {
namespace {

template <class T>
T* row_of(const core::TensorView& view, int64_t row) {
  return view.data<T>() + row * view.stride(0);
}

template <class T>
void forward(core::Context& context, const SwigluForward& args) {
  const int64_t width = args.y.extent(1);
  core::parallel_ranges(context, args.y.extent(0), 1 + 8192 / (width + 1),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t r = begin; r < end; ++r) {
                            const T* value = row_of<T>(args.value, r);
                            const T* gate = row_of<T>(args.gate, r);
                            T* y = row_of<T>(args.y, r);
#pragma omp simd
                            for (int64_t i = 0; i < width; ++i)
                              y[i] = value[i] * core::silu(gate[i]);
                          }
                        });
}

template <class T>
void backward(core::Context& context, const SwigluBackward& args) {
  const int64_t width = args.dy.extent(1);
  core::parallel_ranges(context, args.dy.extent(0), 1 + 8192 / (width + 1),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t r = begin; r < end; ++r) {
                            const T* value = row_of<T>(args.value, r);
                            const T* gate = row_of<T>(args.gate, r);
                            const T* dy = row_of<T>(args.dy, r);
                            T* dvalue = row_of<T>(args.dvalue, r);
                            T* dgate = row_of<T>(args.dgate, r);
#pragma omp simd
                            for (int64_t i = 0; i < width; ++i) {
                              const T z = gate[i], v = value[i], upstream = dy[i];
                              const T s = core::sigmoid(z);
                              dvalue[i] = upstream * (z * s);
                              dgate[i] = upstream * v * core::silu_derivative(z, s);
                            }
                          }
                        });
}

}  // namespace

void swiglu_forward(core::Context& context, const SwigluForward& args) {
  core::dispatch_float("swiglu_forward", args.y.dtype(),
                       [&]<class T>(T) { forward<T>(context, args); });
}

void swiglu_backward(core::Context& context, const SwigluBackward& args) {
  core::dispatch_float("swiglu_backward", args.dy.dtype(),
                       [&]<class T>(T) { backward<T>(context, args); });
}

}  // namespace longhaul::kernels::cpu
