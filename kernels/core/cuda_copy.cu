// Copies between views of any strides, within a device and to and from the host.
#include "kernels/core/cuda_memory.h"
#include "kernels/core/launch.cuh"
#include "kernels/core/tensor.h"

namespace longhaul::core {
namespace {

/// Extents and strides in elements, five dimensions, filled up with ones in front.
struct Layout {
  int64_t extent[Shape::kMaxRank], source[Shape::kMaxRank], target[Shape::kMaxRank];
};

Layout layout_of(const TensorView& source, const TensorView& target) {
  Layout layout{};
  const int missing = Shape::kMaxRank - source.rank();
  for (int i = 0; i < Shape::kMaxRank; ++i) {
    const bool there = i >= missing;
    layout.extent[i] = there ? source.extent(i - missing) : 1;
    layout.source[i] = there ? source.stride(i - missing) : 0;
    layout.target[i] = there ? target.stride(i - missing) : 0;
  }
  return layout;
}

template <class Bits>
__global__ void copy_elements(const Bits* source, Bits* target, Layout layout, int64_t count) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    int64_t rest = i, from = 0, to = 0;
    for (int d = Shape::kMaxRank - 1; d >= 0; --d) {
      const int64_t at = rest % layout.extent[d];
      rest /= layout.extent[d];
      from += at * layout.source[d];
      to += at * layout.target[d];
    }
    target[to] = source[from];
  }
}

template <class Bits>
void copy_on_device(Context& context, const TensorView& source, const TensorView& target) {
  const int64_t count = source.elements();
  launch(context, {.blocks = std::min<int64_t>(ceil_div(count, 256), 4096)}, copy_elements<Bits>,
         static_cast<const Bits*>(source.raw()), static_cast<Bits*>(target.raw()),
         layout_of(source, target), count);
}

void copy_bytes(Context& context, const TensorView& source, const TensorView& target) {
  MUST(cudaMemcpyAsync(target.raw(), source.raw(), static_cast<size_t>(source.bytes()),
                       cudaMemcpyDefault, stream_of(context)));
}

/// Rows of adjacent elements, one call for a matrix of them.
void copy_rows(Context& context, const TensorView& source, const TensorView& target) {
  if (source.is_contiguous() && target.is_contiguous()) return copy_bytes(context, source, target);
  const bool rows_are_packed = source.rank() == 2 && source.select(0, 0).is_contiguous() &&
                               target.select(0, 0).is_contiguous();
  if (rows_are_packed) {
    const int64_t size = size_of(source.dtype());
    MUST(cudaMemcpy2DAsync(
        target.raw(), static_cast<size_t>(target.stride(0) * size), source.raw(),
        static_cast<size_t>(source.stride(0) * size), static_cast<size_t>(source.extent(1) * size),
        static_cast<size_t>(source.extent(0)), cudaMemcpyDefault, stream_of(context)));
    return;
  }
  for (int64_t i = 0; i < source.extent(0); ++i) {
    copy_rows(context, source.select(0, i), target.select(0, i));
  }
}

}  // namespace

void cuda_copy(Context& context, const TensorView& source, const TensorView& target) {
  if (source.elements() == 0) return;
  if (source.device().is_cpu() || target.device().is_cpu()) {
    copy_rows(context, source, target);
    cuda_synchronize(context);
    return;
  }
  if (source.is_contiguous() && target.is_contiguous()) return copy_bytes(context, source, target);
  switch (size_of(source.dtype())) {
    case 2:
      return copy_on_device<uint16_t>(context, source, target);
    case 8:
      return copy_on_device<uint64_t>(context, source, target);
    default:
      return copy_on_device<uint32_t>(context, source, target);
  }
}

void cuda_set_zero(Context& context, const TensorView& target) {
  if (target.elements() == 0) return;
  MUST(cudaMemsetAsync(target.raw(), 0, static_cast<size_t>(target.bytes()), stream_of(context)));
}

}  // namespace longhaul::core
