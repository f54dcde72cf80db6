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

template <class T, int N>
struct Gather {
  using Packed = core::device::Packed<T, N>;
  const T* source;
  const int32_t* from;
  T* target;
  int64_t inner;
  __device__ void operator()(int64_t i) const {
    const int64_t packs = inner / N, row = i / packs, column = i % packs * N;
    const int32_t origin = from[row];
    if (origin == StateGather::kKeep) return;
    Packed values{};
    if (origin >= 0) values = Packed::load(source + origin * inner + column);
    values.store(target + row * inner + column);
  }
};

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
  int64_t all = 0;
  for (const core::TensorView& state : args.states) all += Rows(state).count;
  if (all == 0) return;
  const core::Tensor sums(context, core::DType::kF64, {2 * all});
  int64_t begin = 0;
  for (const core::TensorView& state : args.states) {
    const Rows rows(state);
    if (rows.count == 0) continue;
    core::dispatch_device("state_moments", state.dtype(), [&]<class T>(T) {
      core::launch(context, {.blocks = rows.count, .shared_bytes = 32 * sizeof(double)},
                   row_moments<T>, state.data<T>(), rows, sums.data<double>() + begin);
    });
    begin += 2 * rows.count;
  }
  std::vector<double> host(static_cast<size_t>(2 * all));
  core::copy(context, sums, core::TensorView(host.data(), core::DType::kF64, {2 * all}));
  const double* found = host.data();
  double *sum = args.sum.data<double>(), *squares = args.sum_of_squares.data<double>();
  for (const core::TensorView& state : args.states) {
    const Rows rows(state);
    for (int64_t row = 0; row < rows.count; ++row) {
      sum[row % rows.groups] += found[row];
      squares[row % rows.groups] += found[rows.count + row];
    }
    found += 2 * rows.count;
    sum += rows.groups;
    squares += rows.groups;
  }
}

void state_gather(core::Context& context, const StateGather& args) {
  const int64_t rows = args.target.extent(0), inner = args.target.elements() / rows;
  core::dispatch_device("state_gather", args.target.dtype(), [&]<class T>(T) {
    core::with_pack<T>(
        [&]<int N>(std::integral_constant<int, N>) {
          core::for_each(context, rows * (inner / N),
                         Gather<T, N>{.source = core::optional_pointer<T>(args.source),
                                      .from = args.from.data<int32_t>(),
                                      .target = args.target.data<T>(),
                                      .inner = inner});
        },
        args.source ? args.source.reshape({args.source.extent(0), inner}) : core::TensorView{},
        args.target.reshape({rows, inner}));
  });
}

}  // namespace longhaul::kernels::cuda
