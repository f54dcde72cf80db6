#include "dist/segment_map.h"
#include "kernels/core/pack.cuh"

namespace longhaul::dist::cuda {

namespace {

float* floats(const core::TensorView& view) {
  if (view.dtype() != core::DType::kF32) {
    throw core::Error(core::message("exchange of states: dtype ", core::name_of(view.dtype()),
                                    " is not supported on CUDA (fp32)"));
  }
  return view.data<float>();
}

struct ApplyMap {
  const float *log_decay, *before, *state;
  float* result;
  int64_t begin, width;
  __device__ void operator()(int64_t offset) const {
    const int64_t i = begin + offset;
    const float decay = expf(log_decay[i / width]);
    // A decay of exactly 0 forgets even an infinite state.
    result[i] = before != nullptr && decay != 0 ? fmaf(decay, before[i], state[i]) : state[i];
  }
};

struct AddTo {
  const float* addend;
  float* target;
  __device__ void operator()(int64_t i) const { target[i] += addend[i]; }
};

struct Fill {
  float value;
  float* target;
  __device__ void operator()(int64_t i) const { target[i] = value; }
};

/// Rows [batch, rows, channels] with free strides.
template <class T>
struct Rows {
  T* data;
  int64_t batch_stride, row_stride, channel_stride;
  explicit Rows(const core::TensorView& view)
      : data(view.data<T>()),
        batch_stride(view.stride(0)),
        row_stride(view.stride(1)),
        channel_stride(view.stride(2)) {}
  __device__ T& at(int64_t b, int64_t t, int64_t c) const {
    return data[b * batch_stride + t * row_stride + c * channel_stride];
  }
};

template <class T>
struct AddRows {
  Rows<T> source, target;
  int64_t rows, channels;
  __device__ void operator()(int64_t i) const {
    const int64_t c = i % channels, t = i / channels % rows, b = i / channels / rows;
    T& to = target.at(b, t, c);
    to = core::device::from_float<T>(core::device::to_float(to) +
                                     core::device::to_float(source.at(b, t, c)));
  }
};

}  // namespace

void apply_maps(core::Context& context, const MapApplication& args, int64_t begin, int64_t end) {
  const ApplyMap map{.log_decay = floats(args.log_decay),
                     .before = args.before ? floats(args.before) : nullptr,
                     .state = floats(args.state),
                     .result = floats(args.result),
                     .begin = begin,
                     .width = args.state.elements() / args.log_decay.elements()};
  core::for_each(context, end - begin, map);
}

void add_log_decays(core::Context& context, const core::TensorView& addend,
                    const core::TensorView& target) {
  core::for_each(context, target.elements(), AddTo{floats(addend), floats(target)});
}

void fill(core::Context& context, const core::TensorView& target, double value) {
  core::for_each(context, target.elements(), Fill{static_cast<float>(value), floats(target)});
}

void add_rows(core::Context& context, const core::TensorView& source,
              const core::TensorView& target) {
  core::dispatch_device("add_rows", target.dtype(), [&]<class T>(T) {
    core::for_each(context, target.elements(),
                   AddRows<T>{.source = Rows<T>(source),
                              .target = Rows<T>(target),
                              .rows = target.extent(1),
                              .channels = target.extent(2)});
  });
}

}  // namespace longhaul::dist::cuda
