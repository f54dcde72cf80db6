#include "eval/state_sums.h"

#include "kernels/state/state_ops.h"

namespace longhaul::eval {

std::vector<HeadMoments> head_moments(core::Context& context, const core::TensorView& state,
                                      int64_t groups) {
  const int64_t heads = state.extent(0) * groups;
  std::vector<double> sum(static_cast<size_t>(heads)), squares(sum.size());
  // Every head of every sequence is a group of its own: one call for all.
  kernels::state_moments(
      context, {.states = {state.reshape({1, heads, state.elements() / heads})},
                .sum = core::TensorView(sum.data(), core::DType::kF64, {heads}),
                .sum_of_squares = core::TensorView(squares.data(), core::DType::kF64, {heads})});
  std::vector<HeadMoments> moments;
  for (size_t i = 0; i < sum.size(); ++i) moments.push_back({sum[i], squares[i]});
  return moments;
}

}  // namespace longhaul::eval
