// Forward: y of each tile of 64 tokens of each head, from the states that enter the chunks and from
// the tokens of the chunk up to itself.
#include "kernels/ssd/ssd.h"
#include "kernels/ssd/ssd_device.cuh"

namespace longhaul::kernels::cuda {
namespace ssd {
namespace {

template <class T>
struct Output {
  Geometry g;
  Tokens<const T> x, C;
  Tokens<const float> dt;
  const float *D, *chunk_states, *gram;  ///< D, chunk_states or null
  Decays decays;
  Tokens<T> y;
  bool intra;  ///< false: only what comes from the entering states, added to y
};

template <class T>
constexpr int64_t kOutputShared = 2 * Tile<T>::kBytes;

/// result += e^{c_i} S C_i.
template <class T>
__device__ void add_inter(const Output<T>& args, Accumulator& result, const Tile<T>& left,
                          const Tile<T>& right, int64_t item, int64_t I, int64_t p) {
  const Geometry& g = args.g;
  const int64_t h = item % g.heads, c = item / g.heads % g.chunks, b = item / g.heads / g.chunks;
  const int rows = Geometry::tile_rows(g.tokens(c), I);
  const int columns = static_cast<int>(min(g.head_dim - p, int64_t{kTile}));
  for (int64_t n = 0; n < g.state; n += kTile) {
    const int depth = static_cast<int>(min(g.state - n, int64_t{kTile}));
    load_tile(left, args.C.at(b, c * g.chunk + I * kTile) + g.group_of(h) * g.state + n,
              args.C.token_stride, {rows, depth}, g.packed, One{});
    load_tile(right, args.chunk_states + item * g.state_size() + p * g.state + n, g.state,
              {columns, depth}, g.state_packed, One{});
    __syncthreads();
    multiply<false, true>(result, left, right, {rows, columns, depth});
    __syncthreads();
  }
  const LogSum* sums = args.decays.of(item) + I * kTile;
  result.each([&](int row, int, float& value) { value *= decay_to(sums[row]); });
}

/// result += Σ_j Γ_ij e^{c_i − c_j} dt_j x_j over tile J.
template <class T>
__device__ void add_intra(const Output<T>& args, Accumulator& result, const Tile<T>& left,
                          const Tile<T>& right, int64_t item, int64_t I, int64_t J, int64_t p) {
  const Geometry& g = args.g;
  const int64_t h = item % g.heads, c = item / g.heads % g.chunks, b = item / g.heads / g.chunks;
  const int rows = Geometry::tile_rows(g.tokens(c), I), depth = Geometry::tile_rows(g.tokens(c), J);
  const int columns = static_cast<int>(min(g.head_dim - p, int64_t{kTile}));
  const int64_t side = g.padded_chunk(), first = c * g.chunk + J * kTile;
  const float* gram =
      args.gram + g.group_at(b, c, g.group_of(h)) * side * side + I * kTile * side + J * kTile;
  const LogSum* sums = args.decays.of(item);
  for (int k = static_cast<int>(threadIdx.x); k < rounded(rows) * kTile; k += kThreads) {
    const int i = k / kTile, j = k % kTile;
    if (j >= rounded(depth)) continue;
    float weight = 0;
    if (i < rows && j < depth && J * kTile + j <= I * kTile + i) {
      weight = gram[i * side + j] * args.dt.at(b, first + j)[h] *
               decay_between(sums[I * kTile + i], sums[J * kTile + j]);
    }
    left.data[i * Tile<T>::kStride + j] = core::device::from_float<T>(weight);
  }
  load_tile(right, args.x.at(b, first) + h * g.head_dim + p, args.x.token_stride, {depth, columns},
            g.packed, One{});
  __syncthreads();
  multiply<false, false>(result, left, right, {rows, columns, depth});
  __syncthreads();
}

/// Block (head of a chunk of a sequence, tile of tokens, tile of head_dim).
template <class T>
__global__ void __launch_bounds__(kThreads) output_tiles(Output<T> args) {
  const Geometry& g = args.g;
  core::device::SharedMemory memory;
  const Tile<T> left{memory.take<T>(Tile<T>::kElements)}, right{memory.take<T>(Tile<T>::kElements)};
  const int64_t item = blockIdx.x, I = blockIdx.y, p = blockIdx.z * int64_t{kTile};
  const int64_t h = item % g.heads, c = item / g.heads % g.chunks, b = item / g.heads / g.chunks;
  if (I * kTile >= g.tokens(c)) return;
  Accumulator result;
  if (args.chunk_states != nullptr) add_inter(args, result, left, right, item, I, p);
  if (args.intra) {
    for (int64_t J = 0; J <= I; ++J) add_intra(args, result, left, right, item, I, J, p);
  }
  const int rows = Geometry::tile_rows(g.tokens(c), I);
  const int columns = static_cast<int>(min(g.head_dim - p, int64_t{kTile}));
  const int64_t token = c * g.chunk + I * kTile;
  const float D = args.D == nullptr ? 0.0f : args.D[h];
  result.each([&](int row, int column, float& value) {
    if (row >= rows || column >= columns) return;
    T* y = args.y.at(b, token + row) + h * g.head_dim + p + column;
    const float other =
        args.intra
            ? D * core::device::to_float(args.x.at(b, token + row)[h * g.head_dim + p + column])
            : core::device::to_float(*y);
    *y = core::device::from_float<T>(value + other);
  });
}

template <class T>
void run_output(core::Context& context, const Geometry& g, const SsdForward& args,
                const Decays& decays, const core::TensorView& states, bool intra) {
  core::Tensor gram;
  if (intra) gram = make_gram<T>(context, g, args.B, args.C);
  core::launch(context,
               {.blocks = g.batch * g.chunks * g.heads,
                .blocks_y = g.tiles,
                .blocks_z = core::ceil_div(g.head_dim, kTile),
                .threads = kThreads,
                .shared_bytes = kOutputShared<T>},
               output_tiles<T>,
               Output<T>{.g = g,
                         .x = Tokens<const T>(args.x),
                         .C = Tokens<const T>(args.C),
                         .dt = Tokens<const float>(args.dt),
                         .D = core::optional_pointer<float>(args.D),
                         .chunk_states = core::optional_pointer<float>(states),
                         .gram = core::optional_pointer<float>(gram),
                         .decays = decays,
                         .y = Tokens<T>(args.y),
                         .intra = intra});
}

Geometry geometry_for(const SsdForward& args) {
  return geometry_of(args.x, args.B, args.chunk, args.C);
}

}  // namespace
}  // namespace ssd

void ssd_forward(core::Context& context, const SsdForward& args) {
  core::dispatch_device("ssd_forward", args.x.dtype(), [&]<class T>(T) {
    const ssd::Geometry g = ssd::geometry_for(args);
    const ssd::DecayStorage d = ssd::make_decays(context, g, args.dt, args.A_log);
    core::Tensor scratch;
    core::TensorView states = args.chunk_states;
    if (!states) {
      scratch = core::Tensor(context, core::DType::kF32,
                             {g.batch, g.chunks, g.heads, g.head_dim, g.state});
      states = scratch;
    }
    ssd::chunk_contributions<T>(context, g, args.x, args.B, args.dt, d.decays, ssd::Weight::kToEnd,
                                states);
    ssd::pass_states(context, g, d.decays,
                     {.own = states, .initial = args.initial_state, .last = args.final_state});
    ssd::run_output<T>(context, g, args, d.decays, states, true);
  });
}

void ssd_forward_map(core::Context& context, const SsdForward& args, const SsdMap& map) {
  core::dispatch_device("ssd_forward_map", args.x.dtype(), [&]<class T>(T) {
    const ssd::Geometry g = ssd::geometry_for(args);
    const ssd::DecayStorage d = ssd::make_decays(context, g, args.dt, args.A_log);
    ssd::chunk_contributions<T>(context, g, args.x, args.B, args.dt, d.decays, ssd::Weight::kToEnd,
                                args.chunk_states);
    ssd::pass_states(
        context, g, d.decays,
        {.own = args.chunk_states, .initial = {}, .last = map.state_from_zero, .replace = false});
    ssd::store_log_decay(context, g, d.decays, map.log_decay);
  });
}

void ssd_forward_intra(core::Context& context, const SsdForward& args) {
  core::dispatch_device("ssd_forward_intra", args.x.dtype(), [&]<class T>(T) {
    const ssd::Geometry g = ssd::geometry_for(args);
    const ssd::DecayStorage d = ssd::make_decays(context, g, args.dt, args.A_log);
    ssd::run_output<T>(context, g, args, d.decays, {}, true);
  });
}

void ssd_forward_inter(core::Context& context, const SsdForward& args) {
  core::dispatch_device("ssd_forward_inter", args.x.dtype(), [&]<class T>(T) {
    const ssd::Geometry g = ssd::geometry_for(args);
    const ssd::DecayStorage d = ssd::make_decays(context, g, args.dt, args.A_log);
    ssd::pass_states(
        context, g, d.decays,
        {.own = args.chunk_states, .initial = args.initial_state, .last = args.final_state});
    ssd::run_output<T>(context, g, args, d.decays, args.chunk_states, false);
  });
}

}  // namespace longhaul::kernels::cuda
