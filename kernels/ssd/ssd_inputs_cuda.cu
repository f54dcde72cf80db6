// The gradient to x.
#include "kernels/ssd/ssd_gradient.cuh"
#include "kernels/ssd/ssd_token_sums.cuh"

namespace longhaul::kernels::cuda::ssd {

template <class T>
void run_inputs(core::Context& context, const Gradient<T>& args) {
  run_token_sums<T, Direction::kBackward>(context, {.g = args.g,
                                                    .values = args.dy,
                                                    .keys = args.B,
                                                    .states = args.inter ? args.leaving : nullptr,
                                                    .gram = args.gram,
                                                    .dt = args.dt,
                                                    .D = args.D,
                                                    .decays = args.decays,
                                                    .out = args.dx});
}
template void run_inputs<float>(core::Context&, const Gradient<float>&);
template void run_inputs<BFloat16>(core::Context&, const Gradient<BFloat16>&);

}  // namespace longhaul::kernels::cuda::ssd
