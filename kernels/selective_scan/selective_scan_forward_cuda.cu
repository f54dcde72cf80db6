// Every run from the state that enters it: a channel a thread, its states in registers.
#include "kernels/core/launch.cuh"
#include "kernels/selective_scan/scan_runs.cuh"

namespace longhaul::kernels::cuda {
namespace scan {
namespace {

constexpr int kThreads = kForwardChannels;

template <class T>
struct Output {
  Inputs<T> in;
  Tokens<T> y;
  const float* entering;  ///< [batch, runs, channels, state]; null: 0
  float *final_state, *chunk_states;
  float* steps;  ///< [batch, runs, channels], ΣΔ of the last run alone; or null

  static int64_t shared_bytes(const Geometry& g) {
    const int64_t sums = g.tiles() > 1 ? kChunk * kThreads : 0;
    return (2 * kChunk * kStates + sums) * static_cast<int64_t>(sizeof(float));
  }
};

template <class T>
struct Scanner {
  const Output<T>& args;
  const Geometry& g;
  const Place place;
  const int64_t channel;  ///< the last one for threads beyond it
  const bool is_there, is_last_run;
  const float bias, D;
  const Shared<float> B, C;
  const Shared<float> sums;  ///< [tokens of a chunk][threads], y so far; where tiles > 1
  double steps = 0;
  float rate[kStates], state[kStates];

  __device__ Scanner(const Output<T>& all, SharedMemory& memory)
      : args(all),
        g(all.in.g),
        place(g, kThreads, 0, static_cast<int>(g.runs)),
        channel(min(place.first_channel + static_cast<int64_t>(threadIdx.x), g.channels - 1)),
        is_there(place.first_channel + static_cast<int64_t>(threadIdx.x) < g.channels),
        is_last_run(place.run + 1 == g.runs),
        bias(all.in.dt_bias[channel]),
        D(all.in.D[channel]),
        B(memory.take<float>(kChunk * kStates)),
        C(memory.take<float>(kChunk * kStates)),
        sums(memory.take<float>(g.tiles() > 1 ? kChunk * kThreads : 0)) {}

  __device__ void run() {
    const int tiles = g.tiles();
    for (int tile = 0; tile < tiles; ++tile) {
      const int first = tile * kStates, count = static_cast<int>(g.state) - first;
      load_decay_rates(args.in.A_log + channel * g.state + first, count, g.packed, rate);
      const float* from = args.entering;
      if (from != nullptr) from += g.run_state_at(place.b, place.run, channel) + first;
      load_states(from, count, g.packed, state);
      steps = 0;
      for (int c = g.first_chunk(place.run); c < g.first_chunk(place.run + 1); ++c) {
        if (args.chunk_states != nullptr && is_there) {
          store_states(state, count, g.packed,
                       args.chunk_states + g.chunk_state_at(place.b, c, channel) + first);
        }
        chunk(c, tile);
      }
      if (args.final_state == nullptr || !is_there || !is_last_run) continue;
      store_states(state, count, g.packed, args.final_state + g.state_at(place.b, channel) + first);
    }
    if (args.steps == nullptr || !is_there || !is_last_run) return;
    args.steps[(place.b * g.runs + place.run) * g.channels + channel] = static_cast<float>(steps);
  }

  __device__ void chunk(int c, int tile) {
    __syncthreads();
    load_rows(g, args.in.B, place.b, c, tile * kStates, B);
    load_rows(g, args.in.C, place.b, c, tile * kStates, C);
    __syncthreads();
    const int64_t token = int64_t{c} * kChunk;
    const T* raws = args.in.dt.at(place.b, token) + channel;
    const T* inputs = args.in.x.at(place.b, token) + channel;
    T* y = args.y.at(place.b, token) + channel;
    const int tokens = g.tokens(c);
    const bool is_first = tile == 0, is_last = tile + 1 == g.tiles();
    Ahead<T> ahead;
    ahead.load(raws, args.in.dt.token_stride, inputs, args.in.x.token_stride, 0, tokens);
    float sum = 0;
    for (int first = 0; first < tokens; first += kAhead) {
      const Ahead<T> now = ahead;
      ahead.load(raws, args.in.dt.token_stride, inputs, args.in.x.token_stride, first + kAhead,
                 tokens);
#pragma unroll
      for (int i = 0; i < kAhead; ++i) {
        const int t = first + i;
        if (t >= tokens) break;
        const float step = core::device::softplus(to_float(now.step[i]) + bias);
        const float x = to_float(now.input[i]);
        sum += step;
        const int mine = t * kThreads + static_cast<int>(threadIdx.x);
        const float before = is_first ? D * x : static_cast<float>(sums[mine]);
        const float out = before + advance(step, step * x, t);
        if (!is_last) {
          sums[mine] = out;
        } else if (is_there) {
          y[t * args.y.token_stride] = core::device::from_float<T>(out);
        }
      }
    }
    steps += static_cast<double>(sum);
  }

  /// h C of the new state.
  __device__ float advance(float step, float input, int t) {
    float b[kStates], c[kStates], sum[2] = {};
    read_row(B + t * kStates, b);
    read_row(C + t * kStates, c);
#pragma unroll
    for (int n = 0; n < kStates; ++n) {
      const float decay = core::device::fast_exp2(step * rate[n]);
      state[n] = fmaf(decay, state[n], input * b[n]);
      sum[n % 2] = fmaf(state[n], c[n], sum[n % 2]);
    }
    return sum[0] + sum[1];
  }
};

template <class T>
__global__ __launch_bounds__(kThreads, 5) void scan_kernel(const Output<T> args) {
  SharedMemory memory;
  Scanner<T>(args, memory).run();
}

/// The states that enter all runs but the first, or behind the last the end; `whole`: the last run
/// is mapped too.
template <class T>
void enter_runs(core::Context& context, const Inputs<T>& in, const core::TensorView& initial,
                const core::Tensor& states, const core::Tensor& steps, float* end) {
  const int count = static_cast<int>(in.g.runs) - (end == nullptr ? 1 : 0);
  map_runs<T, Direction::kForward>(context, {.in = in,
                                             .dy = {},
                                             .first = 0,
                                             .count = count,
                                             .states = states.data<float>(),
                                             .steps = steps.data<float>()});
  pass_runs(context, {.g = in.g,
                      .direction = Direction::kForward,
                      .A_log = in.A_log,
                      .steps = steps.data<float>(),
                      .start = core::optional_pointer<float>(initial),
                      .states = states.data<float>(),
                      .end = end});
}

template <class T>
void forward(core::Context& context, const SelectiveScanForward& args) {
  Inputs<T> in(args, kThreads, true);
  in.also_packed({args.initial_state, args.final_state, args.chunk_states});
  const core::Tensor steps = steps_of(context, in.g);
  core::Tensor states;
  const float* entering = core::optional_pointer<float>(args.initial_state);
  if (in.g.runs > 1) {
    states = states_of(context, in.g);
    enter_runs(context, in, args.initial_state, states, steps, nullptr);
    entering = states.data<float>();
  }
  const Output<T> output{.in = in,
                         .y = Tokens<T>(args.y),
                         .entering = entering,
                         .final_state = core::optional_pointer<float>(args.final_state),
                         .chunk_states = core::optional_pointer<float>(args.chunk_states),
                         .steps = args.log_decay ? steps.data<float>() : nullptr};
  core::launch(context,
               {.blocks = in.g.batch * in.g.runs * channel_blocks(in.g.channels, kThreads),
                .threads = kThreads,
                .shared_bytes = Output<T>::shared_bytes(in.g)},
               scan_kernel<T>, output);
  if (args.log_decay) {
    store_log_decay(context, in.g, in.A_log, steps.data<float>(), args.log_decay.data<float>());
  }
}

template <class T>
void forward_map(core::Context& context, const SelectiveScanForward& args,
                 const SelectiveScanMap& map) {
  Inputs<T> in(args, kThreads, false);
  in.also_packed({map.state_from_zero});
  const core::Tensor steps = steps_of(context, in.g), states = states_of(context, in.g);
  enter_runs(context, in, {}, states, steps, map.state_from_zero.data<float>());
  store_log_decay(context, in.g, in.A_log, steps.data<float>(), map.log_decay.data<float>());
}

}  // namespace
}  // namespace scan

void selective_scan_forward(core::Context& context, const SelectiveScanForward& args) {
  core::dispatch_device("selective_scan_forward", args.dt.dtype(),
                        [&]<class T>(T) { scan::forward<T>(context, args); });
}

void selective_scan_map(core::Context& context, const SelectiveScanForward& args,
                        const SelectiveScanMap& map) {
  core::dispatch_device("selective_scan_map", args.dt.dtype(),
                        [&]<class T>(T) { scan::forward_map<T>(context, args, map); });
}

}  // namespace longhaul::kernels::cuda
