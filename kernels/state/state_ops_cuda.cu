#include "kernels/core/block_sum.cuh"
#include "kernels/core/pack.cuh"
#include "kernels/state/state_ops.h"

namespace longhaul::kernels::cuda {
namespace {

/// state as [batch · groups] rows of `inner` adjacent elements.
struct Rows {
  int64_t count, groups, inner;

  explicit Rows(const core::TensorView& state)
      : count(state.extent(0) * state.extent(1)),
        groups(state.extent(1)),
        inner(count > 0 ? state.elements() / count : 0) {}
};

template <class T>
struct Noise {
  const double *mean, *deviation;
  core::RandomKey key;
  uint64_t first;
  Rows rows;
  T* state;
  __device__ void operator()(int64_t i) const {
    const int64_t group = i / rows.inner % rows.groups;
    const double u = 1.0 - core::unit_of(core::philox(key, first + static_cast<uint64_t>(i)), 0);
    const double angle = 2.0 * 3.14159265358979323846 *
                         core::unit_of(core::philox(key, first + static_cast<uint64_t>(i)), 1);
    const double normal = sqrt(-2.0 * log(u)) * cos(angle);
    state[i] =
        core::device::from_float<T>(static_cast<float>(mean[group] + deviation[group] * normal));
  }
};

/// Block: one row. sums [rows], then squares [rows].
template <class T>
__global__ void row_moments(const T* state, Rows rows, double* sums) {
  core::device::SharedMemory memory;
  const auto scratch = memory.take<double>(32);
  const T* row = state + blockIdx.x * rows.inner;
  double sum = 0, square = 0;
  for (int64_t i = threadIdx.x; i < rows.inner; i += blockDim.x) {
    const auto value = static_cast<double>(core::device::to_float(row[i]));
    sum += value;
    square += value * value;
  }
  sum = core::device::block_sum(sum, scratch);
  square = core::device::block_sum(square, scratch);
  if (threadIdx.x == 0) {
    sums[blockIdx.x] = sum;
    sums[rows.count + blockIdx.x] = square;
  }
}

}  // namespace

void state_noise(core::Context& context, const StateNoise& args) {
  const Rows rows(args.state);
  if (args.state.elements() == 0) return;
  core::dispatch_device("state_noise", args.state.dtype(), [&]<class T>(T) {
    core::for_each(
        context, args.state.elements(),
        Noise<T>{.mean = args.mean.data<double>(),
                 .deviation = args.deviation.data<double>(),
                 .key = args.key,
                 .first = static_cast<uint64_t>(args.first_sequence * rows.groups * rows.inner) +
                          args.offset,
                 .rows = rows,
                 .state = args.state.data<T>()});
  });
}

void state_moments(core::Context& context, const StateMoments& args) {
  const Rows rows(args.state);
  if (rows.count == 0) return;
  const core::Tensor sums(context, core::DType::kF64, {2 * rows.count});
  core::dispatch_device("state_moments", args.state.dtype(), [&]<class T>(T) {
    core::launch(context, {.blocks = rows.count, .shared_bytes = 32 * sizeof(double)},
                 row_moments<T>, args.state.data<T>(), rows, sums.data<double>());
  });
  std::vector<double> host(static_cast<size_t>(2 * rows.count));
  core::copy(context, sums, core::TensorView(host.data(), core::DType::kF64, {2 * rows.count}));
  for (int64_t row = 0; row < rows.count; ++row) {
    args.sum.data<double>()[row % rows.groups] += host[static_cast<size_t>(row)];
    args.sum_of_squares.data<double>()[row % rows.groups] +=
        host[static_cast<size_t>(rows.count + row)];
  }
}

}  // namespace longhaul::kernels::cuda
