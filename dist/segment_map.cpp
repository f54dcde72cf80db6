#include "dist/segment_map.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>

#include "kernels/core/cuda_arithmetic.h"
#include "kernels/core/parallel.h"

namespace longhaul::dist {

namespace {

template <class Body>
void with_type(core::DType dtype, const Body& body) {
  CHECK(dtype == core::DType::kF32 || dtype == core::DType::kF64) << "states are fp32 or fp64";
  dtype == core::DType::kF32 ? body(float{}) : body(double{});
}

template <class T>
void apply_row(T decay, const T* before, const T* state, T* result, int64_t count) {
  if (before == nullptr || decay == 0) {
    if (state != result) std::copy(state, state + count, result);
    return;
  }
  for (int64_t i = 0; i < count; ++i) result[i] = decay * before[i] + state[i];
}

}  // namespace

void apply_maps(core::Context& context, const MapApplication& args, int64_t begin, int64_t end) {
  if (begin >= end) return;
  if (!args.state.device().is_cpu()) {
    return core::cuda_affine(context, {.log_factor = args.log_decay,
                                       .before = args.before,
                                       .state = args.state,
                                       .result = args.result,
                                       .begin = begin,
                                       .end = end});
  }
  with_type(args.state.dtype(), [&](auto type) {
    using T = decltype(type);
    const int64_t width = args.state.elements() / args.log_decay.elements();
    const T* log_decay = args.log_decay.data<T>();
    const T* before = args.before ? args.before.data<T>() : nullptr;
    core::parallel_ranges(context, end - begin, 1 << 15, [&](int64_t from, int64_t to) {
      for (int64_t i = begin + from; i < begin + to;) {
        const int64_t row = i / width;
        const int64_t stop = std::min(begin + to, (row + 1) * width);
        const T decay = static_cast<T>(std::exp(static_cast<double>(log_decay[row])));
        apply_row(decay, before ? before + i : nullptr, args.state.data<T>() + i,
                  args.result.data<T>() + i, stop - i);
        i = stop;
      }
    });
  });
}

void apply_maps(core::Context& context, const MapApplication& args) {
  apply_maps(context, args, 0, args.state.elements());
}

void add_log_decays(core::Context& context, const core::TensorView& addend,
                    const core::TensorView& target) {
  if (!target.device().is_cpu()) return core::cuda_accumulate(context, addend, target);
  with_type(target.dtype(), [&](auto type) {
    using T = decltype(type);
    for (int64_t i = 0; i < target.elements(); ++i) target.data<T>()[i] += addend.data<T>()[i];
  });
}

void fill(core::Context& context, const core::TensorView& target, double value) {
  if (!target.device().is_cpu()) return core::cuda_fill(context, target, value);
  with_type(target.dtype(), [&](auto type) {
    using T = decltype(type);
    std::fill_n(target.data<T>(), target.elements(), static_cast<T>(value));
  });
}

}  // namespace longhaul::dist
