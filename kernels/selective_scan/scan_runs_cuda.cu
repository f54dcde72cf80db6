#include "kernels/core/launch.cuh"
#include "kernels/selective_scan/scan_runs.cuh"

namespace longhaul::kernels::cuda::scan {
namespace {

constexpr int kThreads = kForwardChannels;

/// A channel a thread.
template <class T, Direction kDirection>
struct Mapper {
  static constexpr bool kForward = kDirection == Direction::kForward;

  const RunMaps<T>& args;
  const Geometry& g;
  const Place place;
  const int64_t channel;  ///< the last one for threads beyond it
  const bool is_there;
  const float bias;
  const Shared<float> rows;  ///< of B, or backwards of C
  double steps = 0;
  float rate[kStates], state[kStates];

  __device__ Mapper(const RunMaps<T>& all, SharedMemory& memory)
      : args(all),
        g(all.in.g),
        place(g, kThreads, all.first, all.count),
        channel(min(place.first_channel + static_cast<int64_t>(threadIdx.x), g.channels - 1)),
        is_there(place.first_channel + static_cast<int64_t>(threadIdx.x) < g.channels),
        bias(all.in.dt_bias[channel]),
        rows(memory.take<float>(kChunk * kStates)) {}

  __device__ void run() {
    for (int tile = 0; tile < g.tiles(); ++tile) {
      const int first = tile * kStates, count = static_cast<int>(g.state) - first;
      load_decay_rates(args.in.A_log + channel * g.state + first, count, g.packed, rate);
      load_states(nullptr, count, g.packed, state);
      steps = 0;
      const int begin = g.first_chunk(place.run), end = g.first_chunk(place.run + 1);
      for (int i = 0; i < end - begin; ++i) chunk(kForward ? begin + i : end - 1 - i, first);
      if (!is_there) continue;
      store_states(state, count, g.packed,
                   args.states + g.run_state_at(place.b, place.run, channel) + first);
    }
    if (!is_there) return;
    args.steps[(place.b * g.runs + place.run) * g.channels + channel] = static_cast<float>(steps);
  }

  __device__ void chunk(int c, int first_state) {
    const Tokens<const T>& input = kForward ? args.in.x : args.dy;
    __syncthreads();
    load_rows(g, kForward ? args.in.B : args.in.C, place.b, c, first_state, rows);
    __syncthreads();
    const int64_t token = int64_t{c} * kChunk;
    const T* raws = args.in.dt.at(place.b, token) + channel;
    const T* inputs = input.at(place.b, token) + channel;
    const int tokens = g.tokens(c);
    const int groups = (tokens + kAhead - 1) / kAhead;
    float sum = 0;
    for (int group = 0; group < groups; ++group) {
      const int first = (kForward ? group : groups - 1 - group) * kAhead;
      Ahead<T> ahead;
      ahead.load(raws, args.in.dt.token_stride, inputs, input.token_stride, first, tokens);
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        const int i = kForward ? k : kAhead - 1 - k;
        if (first + i >= tokens) continue;
        const float step = core::device::softplus(to_float(ahead.step[i]) + bias);
        sum += step;
        advance(step, to_float(ahead.input[i]), rows + (first + i) * kStates);
      }
    }
    steps += static_cast<double>(sum);
  }

  __device__ void advance(float step, float input, const Shared<float>& row) {
    float value[kStates];
    read_row(row, value);
    const float scaled = kForward ? step * input : input;
#pragma unroll
    for (int n = 0; n < kStates; ++n) {
      const float decay = core::device::fast_exp2(step * rate[n]);
      state[n] = kForward ? fmaf(decay, state[n], scaled * value[n])
                          : decay * fmaf(scaled, value[n], state[n]);
    }
  }
};

template <class T, Direction kDirection>
__global__ __launch_bounds__(kThreads, 5) void map_runs_kernel(const RunMaps<T> args) {
  SharedMemory memory;
  Mapper<T, kDirection>(args, memory).run();
}

/// Item: an element of the state of a sequence.
struct PassRuns {
  RunStates args;
  __device__ void operator()(int64_t i) const {
    const Geometry& g = args.g;
    const int64_t size = g.channels * g.state, b = i / size, element = i % size;
    const float rate = decay_rate(args.A_log[element]);
    const int64_t channel = element / g.state;
    float value = args.start != nullptr ? args.start[i] : 0.0f;
    for (int64_t k = 0; k < g.runs; ++k) {
      const int64_t run = b * g.runs + (args.direction == Direction::kForward ? k : g.runs - 1 - k);
      float* at = args.states + run * size + element;
      if (k + 1 == g.runs && args.end == nullptr) {
        *at = value;
        return;
      }
      const float own = *at;
      *at = value;
      const float decay = core::device::fast_exp2(rate * args.steps[run * g.channels + channel]);
      value = fmaf(decay, value, own);
    }
    args.end[i] = value;
  }
};

struct LogDecays {
  Geometry g;
  const float *A_log, *steps;
  float* log_decay;
  __device__ void operator()(int64_t i) const {
    const int64_t size = g.channels * g.state, b = i / size, element = i % size;
    double sum = 0;
    for (int64_t run = b * g.runs; run < (b + 1) * g.runs; ++run) {
      sum += static_cast<double>(steps[run * g.channels + element / g.state]);
    }
    const double rate = -fmin(exp(static_cast<double>(A_log[element])), double{kLargest});
    log_decay[i] = static_cast<float>(fmax(rate * sum, -double{kLargest}));
  }
};

}  // namespace

template <class T, Direction kDirection>
void map_runs(core::Context& context, const RunMaps<T>& args) {
  const Geometry& g = args.in.g;
  core::launch(context,
               {.blocks = g.batch * args.count * channel_blocks(g.channels, kThreads),
                .threads = kThreads,
                .shared_bytes = kChunk * kStates * static_cast<int64_t>(sizeof(float))},
               map_runs_kernel<T, kDirection>, args);
}
template void map_runs<float, Direction::kForward>(core::Context&, const RunMaps<float>&);
template void map_runs<float, Direction::kBackward>(core::Context&, const RunMaps<float>&);
template void map_runs<core::BFloat16, Direction::kForward>(core::Context&,
                                                            const RunMaps<core::BFloat16>&);
template void map_runs<core::BFloat16, Direction::kBackward>(core::Context&,
                                                             const RunMaps<core::BFloat16>&);

void pass_runs(core::Context& context, const RunStates& args) {
  core::for_each(context, args.g.batch * args.g.channels * args.g.state, PassRuns{args});
}

void store_log_decay(core::Context& context, const Geometry& g, const float* A_log,
                     const float* steps, float* log_decay) {
  core::for_each(context, g.batch * g.channels * g.state, LogDecays{g, A_log, steps, log_decay});
}

}  // namespace longhaul::kernels::cuda::scan
