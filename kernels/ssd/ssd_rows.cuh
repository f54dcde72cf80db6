// Chunks of up to 128 tokens, whole: a block of eight warps has all tokens of a chunk, a warp 16 of
// them as the rows of its products, and the heads of a group come one after the other, the operands
// of the next on their way. All extents are known to the compiler, decays go into operands where
// they are in registers. For bf16, heads of 64 and states of 128, as Mamba-2 has them; the kernels
// for tiles of 64 × 64 have the rest.
#pragma once

#include "kernels/ssd/ssd_device.cuh"

namespace longhaul::kernels::cuda::ssd::rows {

/// Tokens of a block of rows, and blocks of a chunk.
constexpr int kBlock = 16, kBlocks = kChunkOfRows / kBlock;
constexpr int kHeadDim = kHeadDimOfRows, kState = kStateOfRows;
static_assert(kBlocks == kWarps);

template <class T>
bool fits(core::Context& context, const Geometry& g) {
  return std::is_same_v<T, BFloat16> && g.packed && g.state_packed &&
         goes_by_rows(g.padded_chunk(), g.head_dim, g.state) && has_most_shared(context);
}

__device__ inline int warp() { return static_cast<int>(threadIdx.x) / 32; }
__device__ inline int lane() { return static_cast<int>(threadIdx.x) % 32; }
/// Of a fragment's two rows (the other is 8 below) and of its first two columns of 16.
__device__ inline int lane_row() { return lane() / 4; }
__device__ inline int lane_column() { return lane() % 4 * 2; }
/// Blocks of rows pair with more or fewer others the later they are: each of the four schedulers of
/// a multiprocessor, which have every fourth warp, gets an early and a late one.
__device__ inline int balanced_block() { return warp() < 4 ? warp() : kBlocks + 3 - warp(); }

/// Row-major in shared memory, rows apart so that eight of them lie in different banks.
template <int kColumns>
struct Matrix {
  static constexpr int kStride = kColumns + 8;
  static constexpr int64_t elements(int rows) { return int64_t{rows} * kStride; }
  static constexpr int64_t bytes(int rows) { return 2 * elements(rows); }
  Shared<BFloat16> data;

  __device__ static Matrix take(core::device::SharedMemory& memory, int rows) {
    return {memory.take<BFloat16>(elements(rows))};
  }
  __device__ Matrix operator+(int rows) const { return {data + rows * kStride}; }
};

/// Begins to copy [kRows, kColumns]; rows from `there` on are zeros.
template <int kRows, int kColumns>
__device__ void begin_rows(const Matrix<kColumns>& to, const BFloat16* from, int64_t stride,
                           int there) {
  constexpr int kPack = core::device::kFull<BFloat16>, kPacks = kColumns / kPack;
  constexpr int kStep = kThreads / kPacks;
  static_assert(kRows % kStep == 0);
  const int row = static_cast<int>(threadIdx.x) / kPacks;
  const int column = static_cast<int>(threadIdx.x) % kPacks * kPack;
  const BFloat16* at = from + row * stride + column;
  const auto place = to.data + (row * Matrix<kColumns>::kStride + column);
  if (there >= kRows) {  // most are
#pragma unroll
    for (int u = 0; u < kRows; u += kStep) {
      core::device::copy_async(place + u * Matrix<kColumns>::kStride, at);
      at += kStep * stride;
    }
    return;
  }
#pragma unroll
  for (int u = 0; u < kRows; u += kStep) {
    if (row + u < there) {
      core::device::copy_async(place + u * Matrix<kColumns>::kStride, at);
    } else {
      core::device::write_words(place + u * Matrix<kColumns>::kStride, core::device::Words{});
    }
    at += kStep * stride;
  }
}

/// Where this lane reads 16 × 16 elements: for fragments of a left operand that is stored as it is,
/// and of a right operand that is; for both if they are stored transposed.
template <int kColumns>
__device__ Shared<BFloat16> straight(const Matrix<kColumns>& m) {
  return m.data + (lane() % 16 * Matrix<kColumns>::kStride + lane() / 16 * 8);
}
template <int kColumns>
__device__ Shared<BFloat16> crossed(const Matrix<kColumns>& m) {
  return m.data + ((lane() % 8 + lane() / 16 * 8) * Matrix<kColumns>::kStride + lane() / 8 % 2 * 8);
}

/// c += a b over 16 columns.
__device__ inline void multiply_add(float (&low)[4], float (&high)[4], const uint32_t (&a)[4],
                                    const uint32_t (&b)[4]) {
  const uint32_t b_low[2] = {b[0], b[1]}, b_high[2] = {b[2], b[3]};
  core::device::multiply_add_bf16(low, a, b_low);
  core::device::multiply_add_bf16(high, a, b_high);
}
/// c [16, 8 kTiles] += a b where b is stored as it is, from `at` (straight) on.
template <int kTiles>
__device__ void multiply_straight(float (&c)[kTiles][4], const uint32_t (&a)[4],
                                  const Shared<BFloat16>& at) {
#pragma unroll
  for (int n = 0; n < kTiles; n += 2) {
    uint32_t b[4];
    core::device::load_matrices_transposed(at + n * 8, b);
    multiply_add(c[n], c[n + 1], a, b);
  }
}

template <int kTiles>
__device__ void scale(float (&c)[kTiles][4], float low, float high) {
#pragma unroll
  for (int n = 0; n < kTiles; ++n) {
    c[n][0] *= low;
    c[n][1] *= low;
    c[n][2] *= high;
    c[n][3] *= high;
  }
}

/// visit(u, row, column) for the words of eight bytes that each_word gives, of [16, 8 kTiles].
template <int kTiles, class Visit>
__device__ void each_place(const Visit& visit) {
#pragma unroll
  for (int u = 0; u < kTiles; ++u) {
    visit(u, lane_row() + u % 2 * 8, (u / 2 * 2 + lane() % 2) * 8 + lane() % 4 / 2 * 4);
  }
}
/// visit(u, row, column, words) for eight bytes of adjacent columns in bf16, so that rows are whole
/// sectors of memory.
template <int kTiles, class Visit>
__device__ void each_word(const float (&value)[kTiles][4], const Visit& visit) {
  each_place<kTiles>([&](int u, int row, int column) {
    visit(u, row, column,
          exchange_halves(&value[u / 2 * 2][u % 2 * 2], &value[u / 2 * 2 + 1][u % 2 * 2]));
  });
}

/// The heads of part `part` of `parts` of a group.
struct HeadRange {
  int begin, end;
  __device__ HeadRange(const Geometry& g, int group, int part, int parts) {
    const int first = static_cast<int>(g.first_head(group));
    const int heads = static_cast<int>(g.first_head(group + 1)) - first;
    begin = first + heads * part / parts;
    end = first + heads * (part + 1) / parts;
  }
};

/// The chunk of a block of threads, blockIdx.x of [batch, chunks].
struct ChunkPlace {
  int b, c, tokens, blocks;  ///< blocks of 16 tokens
  int64_t first;             ///< token
  __device__ explicit ChunkPlace(const Geometry& g)
      : b(static_cast<int>(blockIdx.x / static_cast<unsigned>(g.chunks))),
        c(static_cast<int>(blockIdx.x % static_cast<unsigned>(g.chunks))),
        tokens(static_cast<int>(g.tokens(c))),
        blocks((tokens + kBlock - 1) / kBlock),
        first(c * g.chunk) {}
  __device__ int rows(int block) const { return min(tokens - block * kBlock, kBlock); }
};

/// What e^{c_i − c_j} of a head is made of for i and j in different blocks of 16 tokens: through
/// the edges between them, as factors that are each at most 1. With forward sums (over j ≤ i), own
/// block I of i, other block J of j:
///   e^{c_i − c_j} = row(i) gap(I, J) factor(j), with edges before I and after J,
/// with backward ones (over i ≥ j) own block J and other I:
///   e^{c_i − c_j} = row(j) gap(J, I) factor(i), with edges after J and before I.
/// gap(I, I) is the decay from the beginning of the chunk (backward: to its end) to the own edge.
template <Direction kDirection, bool kTimesDt>
struct DecayTables {
  static constexpr bool kForward = kDirection == Direction::kForward;
  static constexpr int64_t kBytes = 2 * (kChunkOfRows * 16 + kBlocks * kBlocks * 4);
  /// Two of each, of a head and of the next. dt is 0 where no token is.
  Shared<float> factors, dt, gaps;
  Shared<LogSum> sums;

  __device__ explicit DecayTables(core::device::SharedMemory& memory)
      : factors(memory.take<float>(2 * kChunkOfRows)),
        dt(memory.take<float>(2 * kChunkOfRows)),
        gaps(memory.take<float>(2 * kBlocks * kBlocks)),
        sums(memory.take<LogSum>(2 * kChunkOfRows)) {}

  /// What one thread knows of a head: read early, put where the tables are late.
  struct Ahead {
    LogSum to = {}, from = {};
    float dt = 0;
  };
  template <class Args>
  __device__ static Ahead read(const Args& args, const ChunkPlace& at, int h) {
    const LogSum* of_head = args.decays.of(args.g.head_at(at.b, at.c, h));
    const auto padded = static_cast<int>(args.decays.padded);
    Ahead ahead;
    const int thread = static_cast<int>(threadIdx.x), pair = thread - kChunkOfRows;
    if (thread < kChunkOfRows) {
      if (thread < at.tokens) ahead.dt = args.dt.at(at.b, at.first + thread)[h];
      if (thread >= padded) return ahead;
      const int before = thread / kBlock * kBlock - 1;
      if (kForward) {
        ahead.from = of_head[thread];
        ahead.to = of_head[before + kBlock];
      } else {
        ahead.to = of_head[thread];
        if (before >= 0) ahead.from = of_head[before];
      }
    } else if (pair < kBlocks * kBlocks) {
      const int own = pair / kBlocks, other = pair % kBlocks;
      if (max(own, other) * kBlock >= padded) return ahead;
      if (kForward) {
        if (own > 0) ahead.to = of_head[own * kBlock - 1];
        if (other < own) ahead.from = of_head[other * kBlock + kBlock - 1];
      } else {
        ahead.from = of_head[own * kBlock + kBlock - 1];
        ahead.to = of_head[other > own ? other * kBlock - 1 : padded - 1];
      }
    }
    return ahead;
  }
  __device__ void put(int buffer, const Ahead& ahead) const {
    const int thread = static_cast<int>(threadIdx.x), pair = thread - kChunkOfRows;
    const float decay = decay_between(ahead.to, ahead.from);
    if (thread < kChunkOfRows) {
      const int at = buffer * kChunkOfRows + thread;
      factors[at] = kTimesDt ? decay * ahead.dt : decay;
      dt[at] = ahead.dt;
      sums[at] = kForward ? ahead.from : ahead.to;
    } else if (pair < kBlocks * kBlocks) {
      gaps[buffer * kBlocks * kBlocks + pair] = decay;
    }
  }

  /// row(i) of a row of block `own`.
  __device__ float row_factor(int buffer, int own, int row) const {
    const auto of_head = sums + buffer * kChunkOfRows;
    const int edge = kForward ? own * kBlock - 1 : own * kBlock + kBlock - 1;
    const LogSum at_edge = edge < 0 ? LogSum{} : static_cast<LogSum>(of_head[edge]);
    const LogSum at_row = of_head[own * kBlock + row];
    return kForward ? decay_between(at_row, at_edge) : decay_between(at_edge, at_row);
  }
};

/// What a lane has of 16 columns: two, and the two eight behind.
struct FourColumns {
  float value[4];
  __device__ static FourColumns read(const Shared<float>& of_block) {
    const float2 low = core::device::read_pair(of_block + lane_column()),
                 high = core::device::read_pair(of_block + (lane_column() + 8));
    return {{low.x, low.y, high.x, high.y}};
  }
};

/// Γ of a chunk and group in shared memory, as the fragments of left operands: of blocks (own,
/// other), other ≤ own; kDirection backward: of (other, own), transposed. What a thread reads is
/// what it wrote.
template <Direction kDirection>
struct GramBlocks {
  static constexpr bool kForward = kDirection == Direction::kForward;
  static constexpr int kPairs = kBlocks * (kBlocks + 1) / 2;
  static constexpr int64_t kBytes = int64_t{kPairs} * kBlock * kBlock * 4;
  Shared<float> data;

  __device__ explicit GramBlocks(core::device::SharedMemory& memory)
      : data(memory.take<float>(int64_t{kPairs} * kBlock * kBlock)) {}
  __device__ Shared<float> at(int own, int other, int half) const {
    const int early = min(own, other), late = max(own, other);
    return data + (((late * (late + 1) / 2 + early) * 2 + half) * 32 + lane()) * 4;
  }
  /// From [padded chunk, side] in global memory.
  __device__ void load(const float* gram, int side, int own, int blocks) const {
    for (int other = kForward ? 0 : own; other < (kForward ? own + 1 : blocks); ++other) {
      load_block(gram, side, own, other);
    }
  }
  __device__ void load_block(const float* gram, int side, int own, int other) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      core::device::Words words;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = own * kBlock + lane_row() + i / 2 * 8;
        const int column = other * kBlock + lane_column() + half * 8 + i % 2;
        words.word[i] = __float_as_uint(gram[kForward ? row * side + column : column * side + row]);
      }
      core::device::write_words(at(own, other, half), words);
    }
  }
  /// Elements (row, column), (row, column + 1), (row + 8, ..) twice of the lane's rows and columns,
  /// then the same eight columns behind.
  __device__ void read(int own, int other, float (&value)[8]) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const core::device::Words words = core::device::read_words(at(own, other, half));
#pragma unroll
      for (int i = 0; i < 4; ++i) value[half * 4 + i] = __uint_as_float(words.word[i]);
    }
  }
};

}  // namespace longhaul::kernels::cuda::ssd::rows
