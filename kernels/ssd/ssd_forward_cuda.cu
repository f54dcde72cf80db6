// Forward: y of each tile of 64 tokens of each head, from the states that enter the chunks and from
// the tokens of the chunk up to itself.
#include "kernels/ssd/ssd.h"
#include "kernels/ssd/ssd_device.cuh"
#include "kernels/ssd/ssd_weights.cuh"

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

/// Working space in shared memory.
template <class T>
struct OutputSpace {
  Tile<T> left, right;
  Shared<float> rows;     ///< [padded chunk]: tile J has the row factors of the pair (own tile, J)
  Shared<float> columns;  ///< [padded chunk]: dt_j, below the diagonal times the column factor

  __device__ OutputSpace(core::device::SharedMemory& memory, const Geometry& g)
      : left{memory.take<T>(Tile<T>::kElements)},
        right{memory.take<T>(Tile<T>::kElements)},
        rows(memory.take<float>(g.padded_chunk())),
        columns(memory.take<float>(g.padded_chunk())) {}
  static int64_t bytes(const Geometry& g) { return 2 * Tile<T>::kBytes + 8 * g.padded_chunk(); }
};

/// What one block of threads computes: 64 tokens of a head of a chunk, 64 channels. Blocks that
/// read the same state and tokens follow each other, while those are in the cache.
struct OutputPlace {
  int64_t item, I, p, h, c, b, token;
  Extent extent;

  __device__ explicit OutputPlace(const Geometry& g)
      : item(blockIdx.x / g.tiles),
        I(blockIdx.x % g.tiles),
        p(blockIdx.y * int64_t{kTile}),
        h(item % g.heads),
        c(item / g.heads % g.chunks),
        b(item / g.heads / g.chunks),
        token(c * g.chunk + I * kTile),
        extent{Geometry::tile_rows(g.tokens(c), I),
               static_cast<int>(min(g.head_dim - p, int64_t{kTile}))} {}
};

/// result += e^{c_i} S C_i.
template <class T>
__device__ void add_inter(const Output<T>& args, Accumulator& result, const OutputSpace<T>& s,
                          const OutputPlace& at) {
  const Geometry& g = args.g;
  for (int64_t n = 0; n < g.state; n += kTile) {
    const int depth = static_cast<int>(min(g.state - n, int64_t{kTile}));
    begin_tile(s.left, args.C.at(at.b, at.token) + g.group_of(at.h) * g.state + n,
               args.C.token_stride, {at.extent.rows, depth}, g.packed);
    core::device::copy_async_commit();
    load_tile(s.right, args.chunk_states + at.item * g.state_size() + at.p * g.state + n, g.state,
              {at.extent.columns, depth}, g.state_packed, One{});
    core::device::copy_async_wait<0>();
    __syncthreads();
    multiply<false, true>(result, s.left, s.right, {at.extent.rows, at.extent.columns, depth});
    __syncthreads();
  }
  const LogSum* sums = args.decays.of(at.item) + at.I * kTile;
  result.scale_rows([&](int row) { return decay_to(sums[row]); });
}

template <class T>
__device__ void make_factors(const Output<T>& args, const OutputSpace<T>& s,
                             const OutputPlace& at) {
  const Geometry& g = args.g;
  const LogSum* sums = args.decays.of(at.item);
  for (int k = static_cast<int>(threadIdx.x); k < (at.I + 1) * kTile; k += kThreads) {
    const int64_t J = k / kTile;
    const LogSum end = sums[J * kTile + kTile - 1];
    const float dt = k < g.tokens(at.c) ? args.dt.at(at.b, at.c * g.chunk + k)[at.h] : 0.0f;
    s.columns[k] = J < at.I ? dt * decay_between(end, sums[k]) : dt;
    s.rows[k] = J < at.I ? decay_between(sums[at.I * kTile + k % kTile], end) : 0.0f;
  }
  __syncthreads();
}

/// result += Σ_j Γ_ij e^{c_i − c_j} dt_j x_j over tile J.
template <class T>
__device__ void add_intra(const Output<T>& args, Accumulator& result, const OutputSpace<T>& s,
                          const OutputPlace& at, int64_t J) {
  const Geometry& g = args.g;
  const int depth = Geometry::tile_rows(g.tokens(at.c), J);
  const int64_t side = g.padded_chunk();
  begin_tile(s.right, args.x.at(at.b, at.c * g.chunk + J * kTile) + at.h * g.head_dim + at.p,
             args.x.token_stride, {depth, at.extent.columns}, g.packed);
  core::device::copy_async_commit();
  const WeightTile weights{.gram = args.gram +
                                   g.group_at(at.b, at.c, g.group_of(at.h)) * side * side +
                                   at.I * kTile * side + J * kTile,
                           .gram_stride = side,
                           .sums = args.decays.of(at.item),
                           .I = at.I,
                           .J = J,
                           .extent = {at.extent.rows, depth}};
  const Shared<float> columns = s.columns + J * kTile;
  const bool is_diagonal = weights.is_diagonal();
  load_weights(s.left, weights, {s.rows + J * kTile, columns},
               [&](int j) { return is_diagonal ? static_cast<float>(columns[j]) : 1.0f; });
  core::device::copy_async_wait<0>();
  __syncthreads();
  multiply<false, false>(result, s.left, s.right, {at.extent.rows, at.extent.columns, depth});
  __syncthreads();
}

/// Block (tile of tokens of a head of a chunk of a sequence, tile of head_dim).
template <class T>
__global__ void __launch_bounds__(kThreads, kBlocks<T>) output_tiles(Output<T> args) {
  const Geometry& g = args.g;
  core::device::SharedMemory memory;
  const OutputSpace<T> s(memory, g);
  const OutputPlace at(g);
  if (at.I * kTile >= g.tokens(at.c)) return;
  Accumulator result;
  if (args.intra) make_factors(args, s, at);
  if (args.chunk_states != nullptr) add_inter(args, result, s, at);
  T* y = args.y.at(at.b, at.token) + at.h * g.head_dim + at.p;
  float other = 1;  // times what lies in the tile `right`
  if (args.intra) {
    for (int64_t J = 0; J <= at.I; ++J) add_intra(args, result, s, at, J);
    other = args.D == nullptr ? 0.0f : args.D[at.h];  // the last tile was x of these tokens
  } else {
    load_tile(s.right, static_cast<const T*>(y), args.y.token_stride, at.extent, g.packed, One{});
    __syncthreads();
  }
  result.to_tile(s.left, at.extent, [&](int row, int column, float value) {
    return value + other * core::device::to_float(s.right.get(row, column));
  });
  __syncthreads();
  store_tile(s.left, y, args.y.token_stride, at.extent, g.packed);
}

template <class T>
void run_output(core::Context& context, const Geometry& g, const SsdForward& args,
                const Decays& decays, const core::TensorView& states, bool intra) {
  core::Tensor gram;
  if (intra) gram = make_gram<T>(context, g, args.B, args.C);
  core::launch(context,
               {.blocks = g.batch * g.chunks * g.heads * g.tiles,
                .blocks_y = core::ceil_div(g.head_dim, kTile),
                .threads = kThreads,
                .shared_bytes = OutputSpace<T>::bytes(g)},
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
  return geometry_of(args.x, args.B, args.chunk, args.C, args.y);
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
