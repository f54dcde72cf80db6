// What all stages of the recurrence on the device share: where the operands lie, and the decays.
// Log-decays are summed up in double within a chunk and kept as two floats, so that the difference
// of two sums is as exact as the sums are, however strong the decay. Logs are to base 2, as the
// device has its exponential.
#pragma once

#include <algorithm>

#include "kernels/core/error.h"
#include "kernels/core/tensor.h"
#include "kernels/core/tokens.cuh"
#include "kernels/ssd/matrix_tile.cuh"

namespace longhaul::kernels::cuda::ssd {

struct Geometry {
  int64_t batch, length, heads, head_dim, groups, state, chunk, chunks;
  int64_t tiles;      ///< of 64 tokens in a chunk
  bool packed;        ///< rows of x, B, C and their like are aligned to 16 bytes
  bool state_packed;  ///< rows of states in the operands' type are

  __host__ __device__ int64_t tokens(int64_t c) const {
    return chunk < length - c * chunk ? chunk : length - c * chunk;
  }
  __host__ __device__ int64_t padded_chunk() const { return tiles * kTile; }
  /// Pairs of tiles (I, J) of a chunk with J ≤ I; pair I (I + 1)/2 + J.
  __host__ __device__ int64_t tile_pairs() const { return tiles * (tiles + 1) / 2; }
  __host__ __device__ int64_t state_blocks() const { return ssd::state_blocks(state); }
  /// Of what one block has along the state, half is one warp's: parts of a sum along it.
  __host__ __device__ int64_t state_halves() const { return 2 * state_blocks(); }
  /// 32 bits: a division of 64 is a hundred instructions of every thread.
  __host__ __device__ int64_t group_of(int64_t h) const {
    return static_cast<uint32_t>(h * groups) / static_cast<uint32_t>(heads);
  }
  /// Heads of group g begin here and end where the next group's begin.
  __host__ __device__ int64_t first_head(int64_t g) const {
    return (g * heads + groups - 1) / groups;
  }
  /// In [batch, chunks, heads, …], and in [batch, chunks, groups, …].
  __host__ __device__ int64_t head_at(int64_t b, int64_t c, int64_t h) const {
    return (b * chunks + c) * heads + h;
  }
  __host__ __device__ int64_t group_at(int64_t b, int64_t c, int64_t g) const {
    return (b * chunks + c) * groups + g;
  }
  __host__ __device__ int64_t state_size() const { return head_dim * state; }
  /// Tokens of tile i of a chunk with so many.
  __device__ static int tile_rows(int64_t tokens, int64_t tile) {
    const int64_t rest = tokens - tile * kTile;
    return static_cast<int>(rest < kTile ? rest : kTile);
  }
};

/// One head of one chunk of one sequence, from its place in [batch, chunks, heads].
struct HeadPlace {
  int h, c, b, tokens;
  int64_t item;
  __device__ HeadPlace(const Geometry& g, unsigned at) : item(at) {
    const auto heads = static_cast<unsigned>(g.heads), chunks = static_cast<unsigned>(g.chunks);
    h = static_cast<int>(at % heads);
    c = static_cast<int>(at / heads % chunks);
    b = static_cast<int>(at / heads / chunks);
    tokens = static_cast<int>(g.tokens(c));
  }
};

/// Tiles (I, J) of a pair, I (I + 1)/2 + J.
struct TileOfPair {
  int I = 0, J = 0;
  __device__ explicit TileOfPair(int pair) {
    while ((I + 1) * (I + 2) / 2 <= pair) ++I;
    J = pair - I * (I + 1) / 2;
  }
};

using core::device::Tokens;

static_assert(kWarps == kThreads / 32);
constexpr int64_t kMostChunk = 1024;

template <class... Views>
Geometry geometry_of(const core::TensorView& x, const core::TensorView& B, int64_t chunk,
                     const Views&... others) {
  Geometry g{.batch = x.extent(0),
             .length = x.extent(1),
             .heads = x.extent(2),
             .head_dim = x.extent(3),
             .groups = B.extent(2),
             .state = B.extent(3),
             .chunk = chunk,
             .chunks = (x.extent(1) + chunk - 1) / chunk};
  const int64_t longest = std::min(chunk, std::max<int64_t>(g.length, 1));
  if (longest > kMostChunk) {
    throw core::Error(core::message("ssd: chunks of ", longest,
                                    " tokens are not supported on CUDA (", kMostChunk, ")"));
  }
  g.tiles = ssd::padded_chunk(g.length, chunk) / kTile;
  g.packed = core::all_aligned(x, B, others...);
  g.state_packed = g.state * core::size_of(x.dtype()) % 16 == 0;
  return g;
}

/// Devices of compute capability 8.6, 8.9 and 12.0 have 99 KiB: enough for tiles in bf16.
inline bool has_most_shared(core::Context& context) {
  return core::cuda_shared_bytes(context.device()) >= kMostShared;
}

/// Sum of log-decays up to and including a token, high and low part.
using LogSum = float2;

constexpr double kLog2OfE = 1.4426950408889634;
/// Of the sum at the end of a chunk, in units of ℓ.
__device__ inline double natural_log(LogSum end) {
  return (static_cast<double>(end.x) + static_cast<double>(end.y)) / kLog2OfE;
}

/// The decay from after `from` to `to`, 1 ≥ it ≥ 0.
__device__ inline float decay_between(LogSum to, LogSum from) {
  return core::device::fast_exp2(fminf((to.x - from.x) + (to.y - from.y), 0.0f));
}
__device__ inline float decay_to(LogSum to) {
  return core::device::fast_exp2(fminf(to.x + to.y, 0.0f));
}

/// A = −exp(A_log), finite for any A_log so that dt = 0 means "no decay" even then.
__device__ inline float decay_rate(float A_log) { return -fminf(expf(A_log), 3.402823466e38f); }

/// Decays of one call: sums [batch, chunks, heads, padded chunk]; behind the last token of a chunk
/// they stay what they were there.
struct Decays {
  const LogSum* sums;
  int64_t padded;
  __device__ const LogSum* of(int64_t head_at) const { return sums + head_at * padded; }
  __device__ float over_chunk(int64_t head_at) const { return decay_to(of(head_at)[padded - 1]); }
};

/// Owns the sums.
struct DecayStorage {
  core::Tensor memory;
  Decays decays;
};
DecayStorage make_decays(core::Context& context, const Geometry& g, const core::TensorView& dt,
                         const core::TensorView& A_log);

/// log_decay [batch, heads] = Σ ℓ over the whole segment.
void store_log_decay(core::Context& context, const Geometry& g, const Decays& decays,
                     const core::TensorView& log_decay);

/// Forward in time: inputs x and B give S, the states that enter the chunks. Backward: dy and C
/// give G, the gradients to the states that leave them.
enum class Direction { kForward, kBackward };

template <class T>
struct StateScan {
  Direction direction = Direction::kForward;
  Tokens<const T> left, right;  ///< x and B; backward: dy and C
  Tokens<const float> dt;
  core::TensorView initial;    ///< [batch, heads, head_dim, state]; or absent (0)
  core::TensorView last;       ///< likewise: what is there after the last chunk; or absent
  T* entering = nullptr;       ///< [batch, chunks, heads, head_dim, state]; null: only `last`
  const T* partner = nullptr;  ///< backward: S, for `through`, as `entering`; or null
  float* through = nullptr;    ///< e^{c_Q} ⟨partner, entering⟩, [batch, chunks, heads, parts]
};
template <class T>
void scan_states(core::Context& context, const Geometry& g, const Decays& decays,
                 const StateScan<T>& args);

/// gram [batch, chunks, groups, padded, padded] = C_i·B_j of each chunk, 0 where no token is; whole
/// tiles, those with j ≤ i somewhere.
template <class T>
core::Tensor make_gram(core::Context& context, const Geometry& g, const core::TensorView& B,
                       const core::TensorView& C);

}  // namespace longhaul::kernels::cuda::ssd
