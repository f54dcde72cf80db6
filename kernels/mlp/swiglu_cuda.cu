#include "kernels/core/activations.cuh"
#include "kernels/core/pack.cuh"
#include "kernels/mlp/swiglu.h"

namespace longhaul::kernels::cuda {
namespace {

using core::device::Pack;

/// Item i is a pack of one row of y.
template <class T, int N>
struct Forward {
  const T* x;
  T* y;
  int64_t width;
  __device__ void operator()(int64_t i) const {
    const int64_t packs = width / N, row = i / packs, column = i % packs * N;
    const T* values = x + row * 2 * width + column;
    auto value = Pack<T, N>::load(values);
    const auto gate = Pack<T, N>::load(values + width);
    for (int k = 0; k < N; ++k) value.value[k] *= core::device::silu(gate.value[k]);
    value.store(y + row * width + column);
  }
};

template <class T, int N>
struct Backward {
  const T *x, *dy;
  T* dx;
  int64_t width;
  __device__ void operator()(int64_t i) const {
    const int64_t packs = width / N, row = i / packs, column = i % packs * N;
    const int64_t at = row * 2 * width + column;
    auto value = Pack<T, N>::load(x + at), gate = Pack<T, N>::load(x + at + width);
    const auto upstream = Pack<T, N>::load(dy + row * width + column);
    for (int k = 0; k < N; ++k) {
      const float z = gate.value[k], v = value.value[k], s = core::device::sigmoid(z);
      value.value[k] = upstream.value[k] * (z * s);
      gate.value[k] = upstream.value[k] * v * core::device::silu_derivative(z, s);
    }
    value.store(dx + at);
    gate.store(dx + at + width);
  }
};

}  // namespace

void swiglu_forward(core::Context& context, const SwigluForward& args) {
  const int64_t rows = args.y.extent(0), width = args.y.extent(1);
  core::dispatch_device("swiglu_forward", args.y.dtype(), [&]<class T>(T) {
    core::with_pack<T>(
        [&]<int N>(std::integral_constant<int, N>) {
          core::for_each(context, rows * (width / N),
                         Forward<T, N>{args.x.data<T>(), args.y.data<T>(), width});
        },
        args.x, args.y);
  });
}

void swiglu_backward(core::Context& context, const SwigluBackward& args) {
  const int64_t rows = args.dy.extent(0), width = args.dy.extent(1);
  core::dispatch_device("swiglu_backward", args.dy.dtype(), [&]<class T>(T) {
    core::with_pack<T>(
        [&]<int N>(std::integral_constant<int, N>) {
          core::for_each(
              context, rows * (width / N),
              Backward<T, N>{args.x.data<T>(), args.dy.data<T>(), args.dx.data<T>(), width});
        },
        args.x, args.dy, args.dx);
  });
}

}  // namespace longhaul::kernels::cuda
