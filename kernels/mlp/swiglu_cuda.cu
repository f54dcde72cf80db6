#include "kernels/core/activations.cuh"
#include "kernels/core/pack.cuh"
#include "kernels/mlp/swiglu.h"

namespace longhaul::kernels::cuda {
namespace {

using core::device::Pack;

/// Item i is a pack of one row of y.
template <class T, int N>
struct Forward {
  const T *value, *gate;
  T* y;
  int64_t width, value_stride, gate_stride, stride;
  __device__ void operator()(int64_t i) const {
    const int64_t packs = width / N, row = i / packs, column = i % packs * N;
    auto result = Pack<T, N>::load(value + row * value_stride + column);
    const auto z = Pack<T, N>::load(gate + row * gate_stride + column);
    for (int k = 0; k < N; ++k) result.value[k] *= core::device::silu(z.value[k]);
    result.store(y + row * stride + column);
  }
};

template <class T, int N>
struct Backward {
  const T *value, *gate, *dy;
  T *dvalue, *dgate;
  int64_t width, value_stride, gate_stride, dy_stride, dvalue_stride, dgate_stride;
  __device__ void operator()(int64_t i) const {
    const int64_t packs = width / N, row = i / packs, column = i % packs * N;
    auto value_here = Pack<T, N>::load(value + row * value_stride + column);
    auto gate_here = Pack<T, N>::load(gate + row * gate_stride + column);
    const auto upstream = Pack<T, N>::load(dy + row * dy_stride + column);
    for (int k = 0; k < N; ++k) {
      const float z = gate_here.value[k], v = value_here.value[k], s = core::device::sigmoid(z);
      value_here.value[k] = upstream.value[k] * (z * s);
      gate_here.value[k] = upstream.value[k] * v * core::device::silu_derivative(z, s);
    }
    value_here.store(dvalue + row * dvalue_stride + column);
    gate_here.store(dgate + row * dgate_stride + column);
  }
};

}  // namespace

void swiglu_forward(core::Context& context, const SwigluForward& args) {
  const int64_t rows = args.y.extent(0), width = args.y.extent(1);
  core::dispatch_device("swiglu_forward", args.y.dtype(), [&]<class T>(T) {
    core::with_pack<T>(
        [&]<int N>(std::integral_constant<int, N>) {
          core::for_each(context, rows * (width / N),
                         Forward<T, N>{.value = args.value.data<T>(),
                                       .gate = args.gate.data<T>(),
                                       .y = args.y.data<T>(),
                                       .width = width,
                                       .value_stride = args.value.stride(0),
                                       .gate_stride = args.gate.stride(0),
                                       .stride = args.y.stride(0)});
        },
        args.value, args.gate, args.y);
  });
}

void swiglu_backward(core::Context& context, const SwigluBackward& args) {
  const int64_t rows = args.dy.extent(0), width = args.dy.extent(1);
  core::dispatch_device("swiglu_backward", args.dy.dtype(), [&]<class T>(T) {
    core::with_pack<T>(
        [&]<int N>(std::integral_constant<int, N>) {
          core::for_each(context, rows * (width / N),
                         Backward<T, N>{.value = args.value.data<T>(),
                                        .gate = args.gate.data<T>(),
                                        .dy = args.dy.data<T>(),
                                        .dvalue = args.dvalue.data<T>(),
                                        .dgate = args.dgate.data<T>(),
                                        .width = width,
                                        .value_stride = args.value.stride(0),
                                        .gate_stride = args.gate.stride(0),
                                        .dy_stride = args.dy.stride(0),
                                        .dvalue_stride = args.dvalue.stride(0),
                                        .dgate_stride = args.dgate.stride(0)});
        },
        args.value, args.gate, args.dy, args.dvalue, args.dgate);
  });
}

}  // namespace longhaul::kernels::cuda
