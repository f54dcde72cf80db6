#include <cstring>
#include <vector>

#include "kernels/core/dispatch.h"
#include "kernels/core/parallel.h"
#include "kernels/state/state_ops.h"

namespace longhaul::kernels::cpu {
namespace {

/// state as [batch · groups] rows of `inner` adjacent elements.
struct Rows {
  int64_t count, groups, inner;

  explicit Rows(const core::TensorView& state)
      : count(state.extent(0) * state.extent(1)),
        groups(state.extent(1)),
        inner(count > 0 ? state.elements() / count : 0) {}
};

}  // namespace

void state_noise(core::Context& context, const StateNoise& args) {
  const Rows rows(args.state);
  const double* mean = args.mean.data<double>();
  const double* deviation = args.deviation.data<double>();
  core::dispatch_float("state_noise", args.state.dtype(), [&]<class T>(T) {
    T* state = args.state.data<T>();
    const int64_t grain = 1 + 1024 / (rows.inner + 1);
    core::parallel_ranges(context, rows.count, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t group = row % rows.groups;
        const uint64_t first =
            static_cast<uint64_t>((args.first_sequence * rows.groups + row) * rows.inner) +
            args.offset;
        for (int64_t i = 0; i < rows.inner; ++i) {
          const double noise = core::normal(args.key, first + static_cast<uint64_t>(i));
          state[row * rows.inner + i] = static_cast<T>(mean[group] + deviation[group] * noise);
        }
      }
    });
  });
}

namespace {

void add_moments(core::Context& context, const core::TensorView& tensor, double* sum_of_group,
                 double* squares_of_group) {
  const Rows rows(tensor);
  std::vector<double> sums(static_cast<size_t>(rows.count)), squares(sums.size());
  core::dispatch_float("state_moments", tensor.dtype(), [&]<class T>(T) {
    const T* state = tensor.data<T>();
    const int64_t grain = 1 + 16384 / (rows.inner + 1);
    core::parallel_ranges(context, rows.count, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* from = state + row * rows.inner;
        double sum = 0, square = 0;
#pragma omp simd reduction(+ : sum, square)
        for (int64_t i = 0; i < rows.inner; ++i) {
          const double value = static_cast<double>(from[i]);
          sum += value;
          square += value * value;
        }
        sums[static_cast<size_t>(row)] = sum;
        squares[static_cast<size_t>(row)] = square;
      }
    });
  });
  for (int64_t row = 0; row < rows.count; ++row) {
    sum_of_group[row % rows.groups] += sums[static_cast<size_t>(row)];
    squares_of_group[row % rows.groups] += squares[static_cast<size_t>(row)];
  }
}

}  // namespace

void state_moments(core::Context& context, const StateMoments& args) {
  int64_t first = 0;
  for (const core::TensorView& state : args.states) {
    add_moments(context, state, args.sum.data<double>() + first,
                args.sum_of_squares.data<double>() + first);
    first += state.extent(1);
  }
}

void state_gather(core::Context& context, const StateGather& args) {
  const auto* from = args.from.data<int32_t>();
  core::parallel_items(context, args.target.extent(0), [&](int64_t row) {
    if (from[row] == StateGather::kKeep) return;
    const core::TensorView target = args.target.select(0, row);
    const auto bytes = static_cast<size_t>(target.bytes());
    if (from[row] == StateGather::kZero) {
      std::memset(target.raw(), 0, bytes);
    } else {
      std::memcpy(target.raw(), args.source.select(0, from[row]).raw(), bytes);
    }
  });
}

}  // namespace longhaul::kernels::cpu
