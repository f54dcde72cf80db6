#include "kernels/core/tensor.h"

#include <cstring>
#include <utility>

#include "kernels/core/context.h"
#include "kernels/core/error.h"

namespace longhaul::core {

TensorView::TensorView(void* data, DType dtype, Shape shape, Device device)
    : data_(data), dtype_(dtype), shape_(shape), device_(device) {
  int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides_[i] = stride;
    stride *= shape[i];
  }
}

bool TensorView::is_contiguous() const {
  int64_t stride = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (shape_[i] != 1 && strides_[i] != stride) return false;
    stride *= shape_[i];
  }
  return true;
}

TensorView TensorView::slice(int dim, int64_t begin, int64_t end) const {
  CHECK(dim < rank() && begin >= 0 && begin <= end && end <= shape_[dim])
      << "slice [" << begin << ", " << end << ") of dim " << dim << " of " << shape_;
  TensorView result = *this;
  result.shape_[dim] = end - begin;
  result.data_ = static_cast<char*>(data_) + begin * strides_[dim] * size_of(dtype_);
  return result;
}

TensorView TensorView::select(int dim, int64_t index) const {
  const TensorView one = slice(dim, index, index + 1);
  TensorView result = one;
  result.shape_ = Shape{};
  int next = 0;
  for (int i = 0; i < rank(); ++i) {
    if (i == dim) continue;
    result.shape_.append(one.shape_[i]);
    result.strides_[next++] = one.strides_[i];
  }
  return result;
}

TensorView TensorView::reshape(Shape shape) const {
  CHECK(is_contiguous()) << "reshape of a strided view";
  CHECK_EQ(shape.elements(), elements()) << shape_ << " to " << shape;
  return TensorView(data_, dtype_, shape, device_);
}

TensorView TensorView::split_last(int64_t outer, int64_t inner) const {
  const int last = rank() - 1;
  CHECK(last >= 0 && shape_[last] == outer * inner && strides_[last] == 1);
  TensorView result = *this;
  result.shape_[last] = outer;
  result.shape_.append(inner);
  result.strides_[last] = inner;
  result.strides_[last + 1] = 1;
  return result;
}

TensorView TensorView::unflatten_first(int64_t outer, int64_t inner) const {
  CHECK(rank() >= 1 && rank() < Shape::kMaxRank && shape_[0] == outer * inner);
  TensorView result = *this;
  result.shape_ = Shape{outer, inner};
  result.strides_[0] = strides_[0] * inner;
  result.strides_[1] = strides_[0];
  for (int i = 1; i < rank(); ++i) {
    result.shape_.append(shape_[i]);
    result.strides_[i + 1] = strides_[i];
  }
  return result;
}

Tensor::Tensor(Context& context, DType dtype, Shape shape) : pool_(&context.pool()) {
  const int64_t bytes = shape.elements() * size_of(dtype);
  view_ = TensorView(pool_->allocate(bytes), dtype, shape, context.device());
}

Tensor Tensor::zeros(Context& context, DType dtype, Shape shape) {
  Tensor result(context, dtype, shape);
  set_zero(context, result);
  return result;
}

Tensor Tensor::copy_of(Context& context, const TensorView& source) {
  Tensor result(context, source.dtype(), source.shape());
  copy(context, source, result);
  return result;
}

Tensor::~Tensor() {
  if (view_) pool_->release(view_.raw(), view_.bytes());
}

Tensor::Tensor(Tensor&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)), view_(std::exchange(other.view_, {})) {}

Tensor& Tensor::operator=(Tensor&& other) noexcept {
  Tensor taken(std::move(other));
  std::swap(pool_, taken.pool_);
  std::swap(view_, taken.view_);
  return *this;
}

namespace {

void copy_strided(const TensorView& source, const TensorView& target) {
  if (source.rank() == 0 || (source.is_contiguous() && target.is_contiguous())) {
    std::memcpy(target.raw(), source.raw(), static_cast<size_t>(source.bytes()));
    return;
  }
  for (int64_t i = 0; i < source.extent(0); ++i)
    copy_strided(source.select(0, i), target.select(0, i));
}

}  // namespace

void copy(Context& context, const TensorView& source, const TensorView& target) {
  CHECK(source.shape() == target.shape()) << source.shape() << " to " << target.shape();
  const bool on_device = !source.device().is_cpu() && !target.device().is_cpu();
  CHECK(source.dtype() == target.dtype() || on_device)
      << name_of(source.dtype()) << " to " << name_of(target.dtype());
  if (!source.device().is_cpu() || !target.device().is_cpu()) {
    return cuda_copy(context, source, target);
  }
  if (source.elements() > 0) copy_strided(source, target);
}

void copy_now(const TensorView& source, const TensorView& target) {
  const Device device = source.device().is_cpu() ? target.device() : source.device();
  if (!device.is_cpu()) cuda_synchronize(device);
  Context context(device, 1);
  copy(context, source, target);
  synchronize(context);
}

void set_zero(Context& context, const TensorView& target) {
  CHECK(target.is_contiguous());
  if (!target.device().is_cpu()) return cuda_set_zero(context, target);
  if (target.elements() > 0) std::memset(target.raw(), 0, static_cast<size_t>(target.bytes()));
}

}  // namespace longhaul::core
