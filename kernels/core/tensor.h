// Views and owners of tensors.
#pragma once

#include <glog/logging.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/core/device.h"
#include "kernels/core/dtype.h"
#include "kernels/core/memory_pool.h"
#include "kernels/core/shape.h"

namespace longhaul::core {

class Context;

/// Non-owning, up to five dimensions, explicit strides in elements. Like std::span it does not
/// carry constness of the elements: an op's argument struct says which views it writes. A
/// default-constructed view is "absent"; ops say which arguments may be.
class TensorView {
 public:
  TensorView() = default;
  /// Row-major over `data`.
  TensorView(void* data, DType dtype, Shape shape, Device device = {});

  explicit operator bool() const { return data_ != nullptr; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  int64_t extent(int dim) const { return shape_[dim]; }
  int64_t stride(int dim) const { return strides_[dim]; }
  int64_t elements() const { return shape_.elements(); }
  int64_t bytes() const { return elements() * size_of(dtype_); }
  bool is_contiguous() const;
  void* raw() const { return data_; }

  template <class T>
  T* data() const {
    DCHECK(kDTypeOf<T> == dtype_) << "asked for " << name_of(kDTypeOf<T>) << ", is "
                                  << name_of(dtype_);
    return static_cast<T*>(data_);
  }

  /// Elements [begin, end) along `dim`; shares memory.
  TensorView slice(int dim, int64_t begin, int64_t end) const;
  /// Element `index` along `dim`, that dimension removed; shares memory.
  TensorView select(int dim, int64_t index) const;
  /// The same elements in another shape; the view must be contiguous.
  TensorView reshape(Shape shape) const;
  /// Splits the last dimension (must have stride 1) into {outer, inner}.
  TensorView split_last(int64_t outer, int64_t inner) const;
  /// Splits the first dimension into {outer, inner}; rows may be strided.
  TensorView unflatten_first(int64_t outer, int64_t inner) const;

 private:
  void* data_ = nullptr;
  DType dtype_ = DType::kF32;
  Shape shape_;
  std::array<int64_t, Shape::kMaxRank> strides_{};
  Device device_;
};

/// Owns row-major memory from a context's pool. Move-only; moved-from is absent.
class Tensor {
 public:
  Tensor() = default;
  /// Uninitialised.
  Tensor(Context& context, DType dtype, Shape shape);
  static Tensor zeros(Context& context, DType dtype, Shape shape);
  static Tensor copy_of(Context& context, const TensorView& source);
  template <class T>
  static Tensor from(Context& context, const std::vector<T>& values, Shape shape);
  ~Tensor();
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(Tensor&& other) noexcept;

  operator TensorView() const { return view_; }  // NOLINT(google-explicit-constructor)
  const TensorView& view() const { return view_; }
  explicit operator bool() const { return static_cast<bool>(view_); }
  DType dtype() const { return view_.dtype(); }
  const Shape& shape() const { return view_.shape(); }
  int64_t extent(int dim) const { return view_.extent(dim); }
  int64_t elements() const { return view_.elements(); }
  template <class T>
  T* data() const {
    return view_.data<T>();
  }

 private:
  MemoryPool* pool_ = nullptr;
  TensorView view_;
};

/// Copies between views of equal shape and dtype; either may be strided. Within a CUDA device fp32
/// and bf16 are converted into each other.
void copy(Context& context, const TensorView& source, const TensorView& target);
/// The same where no context is at hand (files, tests): waits for all that was started on the
/// device of either, then copies. Not for training steps.
void copy_now(const TensorView& source, const TensorView& target);
/// Sets every element of a contiguous view to zero bytes.
void set_zero(Context& context, const TensorView& target);

template <class T>
Tensor Tensor::from(Context& context, const std::vector<T>& values, Shape shape) {
  CHECK_EQ(static_cast<int64_t>(values.size()), shape.elements());
  const TensorView host(const_cast<T*>(values.data()), kDTypeOf<T>, shape);
  return copy_of(context, host);
}

}  // namespace longhaul::core
