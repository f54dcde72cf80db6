// Copies between views of any strides, within a device and to and from the host.
#include "kernels/core/cuda_memory.h"
#include "kernels/core/strided_loop.cuh"

namespace longhaul::core {
namespace {

template <class Bits>
struct CopyElement {
  const Bits* source;
  Bits* target;
  StridedPair strides;
  __device__ void operator()(int64_t i) const {
    const auto at = strides.at(i);
    target[at.target] = source[at.source];
  }
};

template <class S, class T>
struct ConvertElement {
  const S* source;
  T* target;
  StridedPair strides;
  __device__ void operator()(int64_t i) const {
    const auto at = strides.at(i);
    target[at.target] = device::from_float<T>(device::to_float(source[at.source]));
  }
};

template <class Bits>
void copy_on_device(Context& context, const TensorView& source, const TensorView& target) {
  for_each(context, source.elements(),
           CopyElement<Bits>{static_cast<const Bits*>(source.raw()),
                             static_cast<Bits*>(target.raw()), StridedPair(source, target)});
}

void convert_on_device(Context& context, const TensorView& source, const TensorView& target) {
  dispatch_device("copy", source.dtype(), [&]<class S>(S) {
    dispatch_device("copy", target.dtype(), [&]<class T>(T) {
      for_each(
          context, source.elements(),
          ConvertElement<S, T>{source.data<S>(), target.data<T>(), StridedPair(source, target)});
    });
  });
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
  const bool converts = source.dtype() != target.dtype();
  if (source.device().is_cpu() || target.device().is_cpu()) {
    CHECK(!converts) << name_of(source.dtype()) << " to " << name_of(target.dtype())
                     << " between host and device";
    copy_rows(context, source, target);
    cuda_synchronize(context);
    return;
  }
  if (converts) return convert_on_device(context, source, target);
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
