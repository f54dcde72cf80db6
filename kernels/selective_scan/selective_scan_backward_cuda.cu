#include "kernels/core/row_sums.cuh"
#include "kernels/selective_scan/scan_gradient.cuh"
#include "kernels/selective_scan/scan_runs.cuh"

namespace longhaul::kernels::cuda {
namespace scan {
namespace {

template <class T>
__global__ __launch_bounds__(GradientBlock<T>::kThreads,
                             2) void gradient_kernel(const Gradient<T> args) {
  SharedMemory memory;
  GradientBlock<T>(args, memory).run();
}

/// dB and dC from the sums of the blocks of channels, added in order. Item: a token's sum for one
/// state.
template <class T>
struct AddRows {
  Geometry g;
  int64_t blocks;
  const float* rows;
  Tokens<T> dB, dC;

  __device__ void operator()(int64_t i) const {
    const int64_t width = g.tiles() * kRowSums, token = i / width;
    const auto at = static_cast<int>(i % width), in_tile = at % kRowSums;
    const int n = at / kRowSums * kStates + in_tile % kStates;
    if (n >= g.state) return;
    const int64_t size = g.batch * g.length * width;
    float sum = 0;
#pragma unroll 8
    for (int64_t block = 0; block < blocks; ++block) sum += rows[block * size + i];
    const int64_t b = token / g.length, t = token % g.length;
    T* to = in_tile < kStates ? dB.at(b, t) : dC.at(b, t);
    to[n] = core::device::from_float<T>(sum);
  }
};

/// Where an element of Gradient::sums goes.
struct SumTarget {
  int64_t states, channels;  ///< channels · state, channels
  float *dA_log, *dD, *ddt_bias;
  __device__ float* operator()(int64_t i) const {
    if (i < states) return dA_log + i;
    i -= states;
    return i < channels ? dD + i : ddt_bias + (i - channels);
  }
};

/// The state gradients that leave all runs but the last, or the one that enters the first (`end`).
template <class T>
void enter_runs(core::Context& context, const Inputs<T>& in, const SelectiveScanBackward& args,
                const core::TensorView& dfinal, const core::Tensor& states,
                const core::Tensor& steps, float* end) {
  const int skipped = end == nullptr ? 1 : 0;
  map_runs<T, Direction::kBackward>(context, {.in = in,
                                              .dy = Tokens<const T>(args.dy),
                                              .first = skipped,
                                              .count = static_cast<int>(in.g.runs) - skipped,
                                              .states = states.data<float>(),
                                              .steps = steps.data<float>()});
  pass_runs(context, {.g = in.g,
                      .direction = Direction::kBackward,
                      .A_log = in.A_log,
                      .steps = steps.data<float>(),
                      .start = core::optional_pointer<float>(dfinal),
                      .states = states.data<float>(),
                      .end = end});
}

template <class T>
void backward(core::Context& context, const SelectiveScanBackward& args) {
  using Block = GradientBlock<T>;
  Inputs<T> in(args, Block::kWidth, true);
  in.also_packed({args.chunk_states, args.dfinal_state, args.dinitial_state});
  const Geometry& g = in.g;
  const int64_t blocks = channel_blocks(g.channels, Block::kWidth);
  core::Tensor states, steps;
  const float* leaving = core::optional_pointer<float>(args.dfinal_state);
  if (g.runs > 1) {
    states = states_of(context, g);
    steps = steps_of(context, g);
    enter_runs(context, in, args, args.dfinal_state, states, steps, nullptr);
    leaving = states.data<float>();
  }
  const int64_t width = int64_t{g.tiles()} * kRowSums;
  const core::Tensor rows(context, core::DType::kF32, {blocks, g.batch * g.length, width});
  const core::Tensor sums(context, core::DType::kF32,
                          {g.batch * g.runs, g.channels * (g.state + 2)});
  core::launch(context,
               {.blocks = g.batch * g.runs * blocks,
                .threads = Block::kThreads,
                .shared_bytes = gradient_shared_bytes(g.tiles(), int64_t{sizeof(T)})},
               gradient_kernel<T>,
               Gradient<T>{.in = in,
                           .dy = Tokens<const T>(args.dy),
                           .dx = Tokens<T>(args.dx),
                           .ddt = Tokens<T>(args.ddt),
                           .chunk_states = args.chunk_states.data<float>(),
                           .leaving = leaving,
                           .dinitial_state = core::optional_pointer<float>(args.dinitial_state),
                           .rows = rows.data<float>(),
                           .sums = sums.data<float>()});
  core::for_each(context, g.batch * g.length * width,
                 AddRows<T>{.g = g,
                            .blocks = blocks,
                            .rows = rows.data<float>(),
                            .dB = Tokens<T>(args.dB),
                            .dC = Tokens<T>(args.dC)});
  core::add_parts_to(context, sums,
                     SumTarget{.states = g.channels * g.state,
                               .channels = g.channels,
                               .dA_log = args.dA_log.data<float>(),
                               .dD = args.dD.data<float>(),
                               .ddt_bias = args.ddt_bias.data<float>()});
}

template <class T>
void backward_map(core::Context& context, const SelectiveScanBackward& args,
                  const core::TensorView& dstate_from_zero) {
  Inputs<T> in(args, kForwardChannels, false);
  const core::Tensor states = states_of(context, in.g), steps = steps_of(context, in.g);
  enter_runs(context, in, args, {}, states, steps, dstate_from_zero.data<float>());
}

}  // namespace
}  // namespace scan

void selective_scan_backward(core::Context& context, const SelectiveScanBackward& args) {
  core::dispatch_device("selective_scan_backward", args.dt.dtype(),
                        [&]<class T>(T) { scan::backward<T>(context, args); });
}

void selective_scan_backward_map(core::Context& context, const SelectiveScanBackward& args,
                                 const core::TensorView& dstate_from_zero) {
  core::dispatch_device("selective_scan_backward_map", args.dt.dtype(), [&]<class T>(T) {
    scan::backward_map<T>(context, args, dstate_from_zero);
  });
}

}  // namespace longhaul::kernels::cuda
