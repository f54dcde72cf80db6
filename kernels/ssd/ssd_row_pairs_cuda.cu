// Pairs of an input j and an output i by rows: what ssd_pairs_cuda.cu has, for a whole chunk at
// once. Two warps have 2 × 16 outputs i, early and late ones, and the inputs up to them, dΓ in
// registers over the heads, Γ in shared memory.
#include "kernels/ssd/ssd_gradient.cuh"
#include "kernels/ssd/ssd_rows.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace rows {
namespace {

/// Blocks of 16 × 16 pairs of one warp. Output blocks i and 7 − i have nine: the first of their two
/// warps takes those of i and, from the beginning, as many of 7 − i as make five; the second takes
/// the other four. What the two have of a row is added in that order.
struct PairShare {
  static constexpr int kSides = kBlocks / 2;  ///< blocks below the diagonal, at most
  bool is_first;
  int own;   ///< of the block on the diagonal
  int late;  ///< 7 − i
  int turn;  ///< so many blocks are of `late`, the others of `own`

  __device__ PairShare()
      : is_first(warp() < kSides),
        own(is_first ? warp() : kBlocks - 1 - warp() % kSides),
        late(kBlocks - 1 - warp() % kSides),
        turn(is_first ? kSides - warp() : kSides - 1) {}
  __device__ int row(int side) const { return side < turn ? late : own; }
  __device__ int column(int side) const {
    if (side >= turn) return side - turn;
    return is_first ? side : late + 1 - kSides + side;
  }
  /// Of a chunk of `blocks`.
  __device__ bool has(int side, int blocks) const {
    return (is_first || side < turn) && row(side) < blocks;
  }
};

struct RowPairs {
  using Tables = DecayTables<Direction::kForward, false>;
  using Gram = GramBlocks<Direction::kForward>;
  static constexpr int kDepthSteps = kHeadDim / 16;
  static constexpr int64_t kBytes = 2 * 2 * Matrix<kHeadDim>::bytes(kChunkOfRows) + Gram::kBytes +
                                    Tables::kBytes + 2 * (kBlocks + 2) * kChunkOfRows * 4;
  static_assert(kBytes <= kMostShared);
  using Block = float[2][4];  ///< 16 × 16: two of 16 × 8

  const Gradient<BFloat16>& args;
  const ChunkPlace at;
  const Matrix<kHeadDim> outputs, inputs;  ///< dy and x, [2, 128] each
  const Gram gram;
  const Tables tables;
  const Shared<float> column_sums;  ///< [2, blocks, 128]
  const Shared<float> row_sums;     ///< [2, warps of a row, 128]
  const PairShare share;
  Block sum[PairShare::kSides + 1] = {};  ///< the last is the diagonal one

  __device__ RowPairs(const Gradient<BFloat16>& all, core::device::SharedMemory& memory)
      : args(all),
        at(all.g),
        outputs(Matrix<kHeadDim>::take(memory, 2 * kChunkOfRows)),
        inputs(Matrix<kHeadDim>::take(memory, 2 * kChunkOfRows)),
        gram(memory),
        tables(memory),
        column_sums(memory.take<float>(2 * kBlocks * kChunkOfRows)),
        row_sums(memory.take<float>(2 * 2 * kChunkOfRows)) {}

  __device__ void begin(int h, int buffer) const {
    const int64_t channel = h * kHeadDim;
    begin_rows<kChunkOfRows>(outputs + buffer * kChunkOfRows, args.dy.at(at.b, at.first) + channel,
                             args.dy.token_stride, at.tokens);
    begin_rows<kChunkOfRows>(inputs + buffer * kChunkOfRows, args.x.at(at.b, at.first) + channel,
                             args.x.token_stride, at.tokens);
    core::device::copy_async_commit();
  }

  /// product = ⟨dy_i, x_j⟩, from 0.
  __device__ void multiply_block(Block& product, const uint32_t (&left)[kDepthSteps][4], int buffer,
                                 int other) const {
    const auto from = crossed(inputs + (buffer * kChunkOfRows + other * kBlock));
#pragma unroll
    for (int k = 0; k < kDepthSteps; ++k) {
      uint32_t words[4];
      core::device::load_matrices(from + k * 16, words);
      multiply_add(product[0], product[1], left[k], words);
    }
  }

  /// Sums over the rows of four columns of each lane: lanes exchange halves of what they have, so
  /// that afterwards each has one column, half of them the same ones.
  __device__ void put_columns(int buffer, int own, int other, const float (&value)[4]) const {
    const bool behind = (lane() & 16) != 0, second = (lane() & 8) != 0;
    float two[2];
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      two[k] = behind ? value[2 + k] : value[k];
      two[k] += __shfl_xor_sync(0xffffffffu, behind ? value[k] : value[2 + k], 16);
    }
    float one = second ? two[1] : two[0];
    one += __shfl_xor_sync(0xffffffffu, second ? two[0] : two[1], 8);
    one += __shfl_xor_sync(0xffffffffu, one, 4);
    if ((lane() & 4) != 0) return;
    const int column = lane_column() + (behind ? 8 : 0) + (second ? 1 : 0);
    column_sums[(buffer * kBlocks + own) * kChunkOfRows + other * kBlock + column] = one;
  }

  /// What this warp has of the rows of a block.
  __device__ void put_rows(int buffer, int own, const float (&value)[2]) const {
    const int first = (buffer * 2 + (share.is_first ? 0 : 1)) * kChunkOfRows + own * kBlock;
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const float all = Accumulator::sum_row(value[row]);
      if (lane() % 4 == 0) row_sums[first + lane_row() + row * 8] = all;
    }
  }

  /// From ⟨dy_i, x_j⟩ of a block below the diagonal: its share of dΓ, and the sums of P_ij.
  __device__ void add_block(Block& dgram, const Block& product, int buffer, int own, int other,
                            const float (&row_factors)[2], float (&of_rows)[2]) const {
    const int first = buffer * kChunkOfRows + other * kBlock;
    const float gap = tables.gaps[(buffer * kBlocks + own) * kBlocks + other];
    const auto factor = FourColumns::read(tables.factors + first);
    const auto dt = FourColumns::read(tables.dt + first);
    float of_pair[8], columns[4];
    gram.read(own, other, of_pair);
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      const float decay = factor.value[n] * gap;
      columns[n] = 0;
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        const float pair = product[n / 2][row * 2 + n % 2] * (row_factors[row] * decay);
        float& to = dgram[n / 2][row * 2 + n % 2];
        to = fmaf(pair, dt.value[n], to);
        const float straddling = pair * of_pair[n / 2 * 4 + row * 2 + n % 2];
        columns[n] += straddling;
        of_rows[row] = fmaf(straddling, dt.value[n], of_rows[row]);
      }
    }
    put_columns(buffer, own, other, columns);
  }
  /// The same of the block on the diagonal, whose pairs i = j are no part of the sums.
  __device__ void add_own(const Block& product, int buffer, int64_t item, float (&of_rows)[2]) {
    const int own = share.own;
    const int first = buffer * kChunkOfRows + own * kBlock;
    const auto sums = tables.sums + first;
    const auto dt = FourColumns::read(tables.dt + first);
    float of_pair[8], columns[4];
    gram.read(own, own, of_pair);
    const LogSum of_row[2] = {sums[lane_row()], sums[lane_row() + 8]};
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      const int j = lane_column() + n / 2 * 8 + n % 2;
      const LogSum of_column = sums[j];
      columns[n] = 0;
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        const int i = lane_row() + row * 8;
        const float x = product[n / 2][row * 2 + n % 2];
        const float pair = j <= i ? x * decay_between(of_row[row], of_column) : 0.0f;
        float& to = sum[PairShare::kSides][n / 2][row * 2 + n % 2];
        to = fmaf(pair, dt.value[n], to);
        if (i == j && i < at.rows(own)) {
          args.tokens.dots[item * args.g.padded_chunk() + own * kBlock + i] = x;
        }
        const float straddling = j < i ? pair * of_pair[n / 2 * 4 + row * 2 + n % 2] : 0.0f;
        columns[n] += straddling;
        of_rows[row] = fmaf(straddling, dt.value[n], of_rows[row]);
      }
    }
    put_columns(buffer, own, own, columns);
  }

  using Left = uint32_t[kDepthSteps][4];
  __device__ void load_left(Left& left, int buffer, int block) const {
    const auto from = straight(outputs + (buffer * kChunkOfRows + block * kBlock));
#pragma unroll
    for (int k = 0; k < kDepthSteps; ++k) core::device::load_matrices(from + k * 16, left[k]);
  }

  /// The warp's pairs of a head.
  __device__ void compute(int h, int buffer) {
    Left left;
    float factors[2] = {}, of_rows[2] = {0, 0};
    const auto take_row = [&](int block) {
      load_left(left, buffer, block);
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        factors[row] = tables.row_factor(buffer, block, lane_row() + row * 8);
      }
    };
    if (share.late < at.blocks) take_row(share.late);
    // From the late rows to the own ones, which the second warp has at once.
    const auto turn = [&] {
      if (!share.is_first) return;
      if (share.late < at.blocks) put_rows(buffer, share.late, of_rows);
      of_rows[0] = of_rows[1] = 0;
      take_row(share.own);
    };
#pragma unroll
    for (int side = 0; side < PairShare::kSides; ++side) {
      if (side > 0 && side == share.turn) turn();
      if (!share.has(side, at.blocks)) continue;
      Block product = {};
      multiply_block(product, left, buffer, share.column(side));
      add_block(sum[side], product, buffer, share.row(side), share.column(side), factors, of_rows);
    }
    if (share.turn == PairShare::kSides) turn();
    Block product = {};
    multiply_block(product, left, buffer, share.own);
    add_own(product, buffer, args.g.head_at(at.b, at.c, h), of_rows);
    put_rows(buffer, share.own, of_rows);
  }
  /// The sums of a head, once all warps have theirs.
  __device__ void store_sums(int h, int buffer) const {
    const int j = static_cast<int>(threadIdx.x);
    if (j >= at.tokens) return;
    float all = 0;
    for (int block = j / kBlock; block < at.blocks; ++block) {
      all += column_sums[(buffer * kBlocks + block) * kChunkOfRows + j];
    }
    const int64_t token = args.g.head_at(at.b, at.c, h) * args.g.padded_chunk() + j;
    args.tokens.columns[token] = all;
    const auto of_row = row_sums + (buffer * 2 * kChunkOfRows + j);
    const float first = of_row[0];
    args.tokens.rows[token] = j < kChunkOfRows / 2 ? first : first + of_row[kChunkOfRows];
  }

  /// dΓ: what is above the diagonal in its block is 0, other blocks above it are not written.
  __device__ void store(float* dgram) const {
    const auto side = static_cast<int>(args.g.padded_chunk());
    const auto store_block = [&](const Block& block, int own, int other) {
#pragma unroll
      for (int n = 0; n < 2; ++n) {
#pragma unroll
        for (int row = 0; row < 2; ++row) {
          float* to = dgram + (own * kBlock + lane_row() + row * 8) * side + other * kBlock +
                      lane_column() + n * 8;
          core::device::store_pair(to, block[n][row * 2], block[n][row * 2 + 1]);
        }
      }
    };
#pragma unroll
    for (int i = 0; i < PairShare::kSides; ++i) {
      if (share.has(i, at.blocks)) store_block(sum[i], share.row(i), share.column(i));
    }
    if (share.own < at.blocks) store_block(sum[PairShare::kSides], share.own, share.own);
  }
  __device__ void load_gram(const float* from) const {
    const auto side = static_cast<int>(args.g.padded_chunk());
    for (int i = 0; i < PairShare::kSides; ++i) {
      if (share.has(i, at.blocks)) gram.load_block(from, side, share.row(i), share.column(i));
    }
    if (share.own < at.blocks) gram.load_block(from, side, share.own, share.own);
  }

  __device__ void run(float* dgram) {
    const auto groups = static_cast<unsigned>(args.g.groups);
    const auto group = static_cast<int>(blockIdx.y % groups);
    const auto part = static_cast<int>(blockIdx.y / groups);
    const HeadRange heads(args.g, group, part, args.dgram_parts);
    const int64_t side = args.g.padded_chunk();
    const int64_t place = args.g.group_at(at.b, at.c, group) * side * side;
    const bool is_active = share.own < at.blocks;
    begin(heads.begin, 0);
    auto ahead = Tables::read(args, at, heads.begin);
    load_gram(args.gram + place);
    tables.put(0, ahead);
    for (int h = heads.begin, buffer = 0; h < heads.end; ++h, buffer ^= 1) {
      core::device::copy_async_wait<0>();
      __syncthreads();
      const bool is_last = h + 1 == heads.end;
      if (!is_last) {
        begin(h + 1, buffer ^ 1);
        ahead = Tables::read(args, at, h + 1);
      }
      if (h > heads.begin) store_sums(h - 1, buffer ^ 1);
      if (is_active) compute(h, buffer);
      if (!is_last) tables.put(buffer ^ 1, ahead);
    }
    __syncthreads();
    store_sums(heads.end - 1, (heads.end - 1 - heads.begin) % 2);
    const int64_t all = args.g.batch * args.g.chunks * args.g.groups * side * side;
    store(dgram + part * all + place);
  }
};

/// Block (chunk of a sequence, part of the heads of a group).
__global__ void __launch_bounds__(kThreads, 1) pair_rows(Gradient<BFloat16> args, float* dgram) {
  core::device::SharedMemory memory;
  RowPairs(args, memory).run(dgram);
}

}  // namespace
}  // namespace rows

void run_row_pairs(core::Context& context, const Gradient<BFloat16>& args,
                   const core::TensorView& dgram) {
  const Geometry& g = args.g;
  core::launch(context,
               {.blocks = g.batch * g.chunks,
                .blocks_y = g.groups * args.dgram_parts,
                .threads = kThreads,
                .shared_bytes = rows::RowPairs::kBytes},
               rows::pair_rows, args, dgram.data<float>());
}

}  // namespace longhaul::kernels::cuda::ssd
