#include "tests/support/random_tensor.h"

#include "kernels/core/random.h"

namespace longhaul::testing {
namespace {

/// visit(element of the innermost dimension's pointer) in row-major order.
template <class T, class Visit>
void each_element(const core::TensorView& view, const Visit& visit) {
  if (view.elements() == 0) return;
  if (view.rank() == 0) return visit(*view.data<T>());
  if (view.rank() == 1) {
    for (int64_t i = 0; i < view.extent(0); ++i) visit(view.data<T>()[i * view.stride(0)]);
    return;
  }
  for (int64_t i = 0; i < view.extent(0); ++i) each_element<T>(view.select(0, i), visit);
}

template <class T>
std::vector<double> read(const core::TensorView& view) {
  std::vector<double> values;
  values.reserve(static_cast<size_t>(view.elements()));
  each_element<T>(view, [&](const T& x) {
    if constexpr (std::is_same_v<T, core::BFloat16>) {
      values.push_back(static_cast<double>(static_cast<float>(x)));
    } else {
      values.push_back(static_cast<double>(x));
    }
  });
  return values;
}

template <class T>
void write(const core::TensorView& view, const std::vector<double>& values) {
  size_t next = 0;
  each_element<T>(view, [&](T& x) {
    if constexpr (std::is_same_v<T, core::BFloat16>) {
      x = core::BFloat16(static_cast<float>(values[next++]));
    } else {
      x = static_cast<T>(values[next++]);
    }
  });
}

}  // namespace

HostTensor::HostTensor(const core::TensorView& like)
    : bytes(static_cast<size_t>(like.bytes() + 1)),
      view(bytes.data(), like.dtype(), like.shape()) {}

HostTensor host_copy(const core::TensorView& view) {
  HostTensor host(view);
  core::copy_now(view, host.view);
  return host;
}

std::vector<double> random_values(int64_t count, uint64_t seed, double scale, double shift) {
  std::vector<double> values(static_cast<size_t>(count));
  const core::RandomKey key{.seed = seed};
  for (size_t i = 0; i < values.size(); ++i) values[i] = shift + scale * core::normal(key, i);
  return values;
}

core::Tensor tensor_of(core::Context& context, core::DType dtype, core::Shape shape,
                       const std::vector<double>& values) {
  core::Tensor tensor(context, dtype, shape);
  assign(tensor, values);
  return tensor;
}

core::Tensor random_tensor(core::Context& context, core::DType dtype, core::Shape shape,
                           uint64_t seed, double scale, double shift) {
  return tensor_of(context, dtype, shape, random_values(shape.elements(), seed, scale, shift));
}

std::vector<double> values_of(const core::TensorView& view) {
  if (!view.device().is_cpu()) return values_of(host_copy(view));
  switch (view.dtype()) {
    case core::DType::kF32:
      return read<float>(view);
    case core::DType::kF64:
      return read<double>(view);
    case core::DType::kBF16:
      return read<core::BFloat16>(view);
    default:
      return read<int32_t>(view);
  }
}

void assign(const core::TensorView& view, const std::vector<double>& values) {
  CHECK_EQ(static_cast<int64_t>(values.size()), view.elements());
  if (!view.device().is_cpu()) {
    const HostTensor host(view);
    assign(host.view, values);
    return core::copy_now(host.view, view);
  }
  switch (view.dtype()) {
    case core::DType::kF32:
      return write<float>(view, values);
    case core::DType::kF64:
      return write<double>(view, values);
    case core::DType::kBF16:
      return write<core::BFloat16>(view, values);
    default:
      return write<int32_t>(view, values);
  }
}

}  // namespace longhaul::testing
