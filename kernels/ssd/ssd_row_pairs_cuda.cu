// Pairs of an input j and an output i by rows: what ssd_pairs_cuda.cu has, for a whole chunk at
// once. A warp has 16 outputs i and the inputs up to them, dΓ in registers over the heads, Γ in
// shared memory.
#include "kernels/ssd/ssd_gradient.cuh"
#include "kernels/ssd/ssd_rows.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace rows {
namespace {

struct RowPairs {
  using Tables = DecayTables<Direction::kForward, false>;
  using Gram = GramBlocks<Direction::kForward>;
  static constexpr int kDepthSteps = kHeadDim / 16;
  static constexpr int64_t kBytes = 2 * 2 * Matrix<kHeadDim>::bytes(kChunkOfRows) + Gram::kBytes +
                                    Tables::kBytes + 2 * kBlocks * kChunkOfRows * 4;
  static_assert(kBytes <= kMostShared);
  using Block = float[2][4];  ///< 16 × 16: two of 16 × 8

  const Gradient<BFloat16>& args;
  const ChunkPlace at;
  const Matrix<kHeadDim> outputs, inputs;  ///< dy and x, [2, 128] each
  const Gram gram;
  const Tables tables;
  const Shared<float> column_sums;  ///< [2, blocks, 128]
  const int own;
  Block sum[kBlocks] = {};  ///< the last is the diagonal one, wherever it is

  __device__ RowPairs(const Gradient<BFloat16>& all, core::device::SharedMemory& memory)
      : args(all),
        at(all.g),
        outputs(Matrix<kHeadDim>::take(memory, 2 * kChunkOfRows)),
        inputs(Matrix<kHeadDim>::take(memory, 2 * kChunkOfRows)),
        gram(memory),
        tables(memory),
        column_sums(memory.take<float>(2 * kBlocks * kChunkOfRows)),
        own(balanced_block()) {}

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
  __device__ void put_columns(int buffer, int other, const float (&value)[4]) const {
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

  /// From ⟨dy_i, x_j⟩ of a block below the diagonal: its share of dΓ, and the sums of P_ij.
  __device__ void add_block(Block& dgram, const Block& product, int buffer, int other,
                            const float (&row_factors)[2], float (&row_sums)[2]) const {
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
        row_sums[row] = fmaf(straddling, dt.value[n], row_sums[row]);
      }
    }
    put_columns(buffer, other, columns);
  }
  /// The same of the block on the diagonal, whose pairs i = j are no part of the sums.
  __device__ void add_own(const Block& product, int buffer, int64_t item, float (&row_sums)[2]) {
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
        float& to = sum[kBlocks - 1][n / 2][row * 2 + n % 2];
        to = fmaf(pair, dt.value[n], to);
        if (i == j && i < at.rows(own)) {
          args.tokens.dots[item * args.g.padded_chunk() + own * kBlock + i] = x;
        }
        const float straddling = j < i ? pair * of_pair[n / 2 * 4 + row * 2 + n % 2] : 0.0f;
        columns[n] += straddling;
        row_sums[row] = fmaf(straddling, dt.value[n], row_sums[row]);
      }
    }
    put_columns(buffer, own, columns);
  }

  /// All pairs of the own rows of a head.
  __device__ void compute(int h, int buffer, const uint32_t (&left)[kDepthSteps][4]) {
    const int64_t item = args.g.head_at(at.b, at.c, h);
    const float row_factors[2] = {tables.row_factor(buffer, own, lane_row()),
                                  tables.row_factor(buffer, own, lane_row() + 8)};
    float row_sums[2] = {0, 0};
#pragma unroll
    for (int other = 0; other + 1 < kBlocks; ++other) {
      if (other >= own) break;
      Block product = {};
      multiply_block(product, left, buffer, other);
      add_block(sum[other], product, buffer, other, row_factors, row_sums);
    }
    Block product = {};
    multiply_block(product, left, buffer, own);
    add_own(product, buffer, item, row_sums);
    float* to = args.tokens.rows + item * args.g.padded_chunk() + own * kBlock;
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const float all = Accumulator::sum_row(row_sums[row]);
      if (lane() % 4 == 0) to[lane_row() + row * 8] = all;
    }
  }
  /// The columns of a head, once all warps have theirs.
  __device__ void store_columns(int h, int buffer) const {
    const int j = static_cast<int>(threadIdx.x);
    if (j >= at.tokens) return;
    float all = 0;
    for (int block = j / kBlock; block < at.blocks; ++block) {
      all += column_sums[(buffer * kBlocks + block) * kChunkOfRows + j];
    }
    args.tokens.columns[args.g.head_at(at.b, at.c, h) * args.g.padded_chunk() + j] = all;
  }

  /// dΓ: what is above the diagonal in its block is 0, other blocks above it are not written.
  __device__ void store(float* dgram) const {
    const auto side = static_cast<int>(args.g.padded_chunk());
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const bool is_own = block + 1 == kBlocks;
      if (!is_own && block >= own) continue;
      const int other = is_own ? own : block;
#pragma unroll
      for (int n = 0; n < 2; ++n) {
#pragma unroll
        for (int row = 0; row < 2; ++row) {
          float* to = dgram + (own * kBlock + lane_row() + row * 8) * side + other * kBlock +
                      lane_column() + n * 8;
          core::device::store_pair(to, sum[block][n][row * 2], sum[block][n][row * 2 + 1]);
        }
      }
    }
  }

  __device__ void run(float* dgram) {
    const auto groups = static_cast<unsigned>(args.g.groups);
    const auto group = static_cast<int>(blockIdx.y % groups);
    const auto part = static_cast<int>(blockIdx.y / groups);
    const HeadRange heads(args.g, group, part, args.dgram_parts);
    const int64_t side = args.g.padded_chunk();
    const int64_t place = args.g.group_at(at.b, at.c, group) * side * side;
    const bool is_active = own < at.blocks;
    begin(heads.begin, 0);
    auto ahead = Tables::read(args, at, heads.begin);
    if (is_active) gram.load(args.gram + place, static_cast<int>(side), own, at.blocks);
    tables.put(0, ahead);
    for (int h = heads.begin, buffer = 0; h < heads.end; ++h, buffer ^= 1) {
      core::device::copy_async_wait<0>();
      __syncthreads();
      const bool is_last = h + 1 == heads.end;
      if (!is_last) {
        begin(h + 1, buffer ^ 1);
        ahead = Tables::read(args, at, h + 1);
      }
      if (h > heads.begin) store_columns(h - 1, buffer ^ 1);
      if (is_active) {
        uint32_t left[kDepthSteps][4];
        const auto from = straight(outputs + (buffer * kChunkOfRows + own * kBlock));
#pragma unroll
        for (int k = 0; k < kDepthSteps; ++k) core::device::load_matrices(from + k * 16, left[k]);
        compute(h, buffer, left);
      }
      if (!is_last) tables.put(buffer ^ 1, ahead);
    }
    __syncthreads();
    store_columns(heads.end - 1, (heads.end - 1 - heads.begin) % 2);
    const int64_t all = args.g.batch * args.g.chunks * args.g.groups * side * side;
    if (is_active) store(dgram + part * all + place);
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
