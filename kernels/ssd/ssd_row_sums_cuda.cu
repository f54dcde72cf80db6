// y and dx by rows. Heads come one after the other; Γ and the keys of the chunk stay, Γ in shared
// memory as fragments, the keys in registers. A warp's 16 outputs are one product with the state
// and one with each block of 16 values up to (backward: from) their own; decays between blocks go
// through the edges between them, so that a pair costs one multiplication, and only pairs within
// a block take an exponential.
#include "kernels/ssd/ssd_rows.cuh"
#include "kernels/ssd/ssd_token_sums.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace rows {
namespace {

template <Direction kDirection>
struct RowSums {
  static constexpr bool kForward = kDirection == Direction::kForward;
  static constexpr int kTiles = kHeadDim / 8, kKeySteps = kState / 16;
  using Tables = DecayTables<kDirection, kForward>;
  static constexpr int64_t kBytes = 2 * Matrix<kHeadDim>::bytes(kChunkOfRows) +
                                    2 * Matrix<kState>::bytes(kHeadDim) +
                                    GramBlocks<kDirection>::kBytes + Tables::kBytes;

  const TokenSums<BFloat16>& args;
  const ChunkPlace at;
  const Matrix<kHeadDim> values;  ///< [2, 128 tokens]
  const Matrix<kState> states;    ///< [2, head_dim]
  const GramBlocks<kDirection> gram;
  const Tables tables;
  const int own;
  uint32_t keys[kKeySteps][4];

  __device__ RowSums(const TokenSums<BFloat16>& all, core::device::SharedMemory& memory)
      : args(all),
        at(all.g),
        values(Matrix<kHeadDim>::take(memory, 2 * kChunkOfRows)),
        states(Matrix<kState>::take(memory, 2 * kHeadDim)),
        gram(memory),
        tables(memory),
        own(balanced_block()) {}

  __device__ void begin(int h, int buffer) const {
    begin_rows<kChunkOfRows>(values + buffer * kChunkOfRows,
                             args.values.at(at.b, at.first) + h * kHeadDim,
                             args.values.token_stride, at.tokens);
    if (args.states != nullptr) {
      const int64_t item = args.g.head_at(at.b, at.c, h);
      begin_rows<kHeadDim>(states + buffer * kHeadDim, args.states + item * args.g.state_size(),
                           kState, kHeadDim);
    }
    core::device::copy_async_commit();
  }
  /// Fragments of the own rows of C (backward: B); 0 where no token is.
  __device__ void read_keys(int group) {
    const BFloat16* from = args.keys.at(at.b, at.first + own * kBlock) + group * kState;
#pragma unroll
    for (int k = 0; k < kKeySteps; ++k) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = lane_row() + i % 2 * 8, column = k * 16 + lane_column() + i / 2 * 8;
        keys[k][i] = row < at.rows(own)
                         ? core::device::load_pair(from + row * args.keys.token_stride + column)
                         : 0;
      }
    }
  }

  /// sum = keys · state, decayed from the edge of the own rows to the chunk's.
  __device__ void add_states(float (&sum)[kTiles][4], int buffer) const {
    const auto from = crossed(states + buffer * kHeadDim);
#pragma unroll
    for (int k = 0; k < kKeySteps; ++k) {
#pragma unroll
      for (int n = 0; n < kTiles; n += 2) {
        uint32_t words[4];
        core::device::load_matrices(from + (n * 8 * Matrix<kState>::kStride + k * 16), words);
        multiply_add(sum[n], sum[n + 1], keys[k], words);
      }
    }
    const float decay = tables.gaps[(buffer * kBlocks + own) * kBlocks + own];
    scale(sum, decay, decay);
  }

  /// sum += what the values of block `other`, not the own, give.
  __device__ void add_block(float (&sum)[kTiles][4], int buffer, int other) const {
    const float gap = tables.gaps[(buffer * kBlocks + own) * kBlocks + other];
    const auto factor =
        FourColumns::read(tables.factors + (buffer * kChunkOfRows + other * kBlock));
    float of_pair[8];
    gram.read(own, other, of_pair);
    uint32_t weights[4];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float low = factor.value[half * 2] * gap, high = factor.value[half * 2 + 1] * gap;
      const float* four = of_pair + half * 4;
      weights[half * 2] = core::device::pack_bf16(four[0] * low, four[1] * high);
      weights[half * 2 + 1] = core::device::pack_bf16(four[2] * low, four[3] * high);
    }
    multiply_straight(sum, weights, straight(values + (buffer * kChunkOfRows + other * kBlock)));
  }

  /// sum += what the own values give, those of the own token times D besides.
  __device__ void add_own(float (&sum)[kTiles][4], int buffer, const float (&dt)[2],
                          float D) const {
    const auto sums = tables.sums + (buffer * kChunkOfRows + own * kBlock);
    const LogSum of_row[2] = {sums[lane_row()], sums[lane_row() + 8]};
    const auto of_column = FourColumns::read(tables.dt + (buffer * kChunkOfRows + own * kBlock));
    float of_pair[8];
    gram.read(own, own, of_pair);
    uint32_t weights[4];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        float two[2];
#pragma unroll
        for (int k = 0; k < 2; ++k) {
          const int i = lane_row() + row * 8, j = lane_column() + half * 8 + k;
          const LogSum other = sums[j];
          const float decay =
              kForward ? decay_between(of_row[row], other) : decay_between(other, of_row[row]);
          const float weight = decay * (kForward ? of_column.value[half * 2 + k] : dt[row]);
          two[k] = (kForward ? j <= i : j >= i) ? of_pair[half * 4 + row * 2 + k] * weight : 0.0f;
        }
        weights[half * 2 + row] = core::device::pack_bf16(two[0], two[1]);
      }
    }
    // D in two parts of bf16, as diagonal matrices.
    const float high = core::device::to_float(core::device::from_float<BFloat16>(D));
    const int diagonal = lane_row() - lane_column();
    uint32_t parts[2];
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      const float value = part == 0 ? high : D - high;
      parts[part] =
          core::device::pack_bf16(diagonal == 0 ? value : 0.0f, diagonal == 1 ? value : 0.0f);
    }
    const auto from = straight(values + (buffer * kChunkOfRows + own * kBlock));
#pragma unroll
    for (int n = 0; n < kTiles; n += 2) {
      uint32_t words[4];
      core::device::load_matrices_transposed(from + n * 8, words);
      multiply_add(sum[n], sum[n + 1], weights, words);
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        const uint32_t matrix[4] = {parts[part], 0, 0, parts[part]};
        multiply_add(sum[n], sum[n + 1], matrix, words);
      }
    }
  }

  __device__ void compute(int h, int buffer, float D) const {
    if (own >= at.blocks) return;
    float sum[kTiles][4] = {};
    if (args.states != nullptr) add_states(sum, buffer);
    for (int other = kForward ? 0 : own + 1; other < (kForward ? own : at.blocks); ++other) {
      add_block(sum, buffer, other);
    }
    float dt[2] = {1, 1};
    if (!kForward) {
      const auto of_row = tables.dt + (buffer * kChunkOfRows + own * kBlock + lane_row());
      dt[0] = of_row[0];
      dt[1] = of_row[8];
    }
    scale(sum, tables.row_factor(buffer, own, lane_row()) * dt[0],
          tables.row_factor(buffer, own, lane_row() + 8) * dt[1]);
    add_own(sum, buffer, dt, D);
    BFloat16* to = args.out.at(at.b, at.first + own * kBlock) + h * kHeadDim;
    const int there = at.rows(own);
    each_word(sum, [&](int, int row, int column, const core::device::HalfWords& words) {
      if (row < there) {
        core::device::store_words(to + row * args.out.token_stride + column, words);
      }
    });
  }

  __device__ void run() {
    const auto group = static_cast<int>(blockIdx.y % static_cast<unsigned>(args.g.groups));
    const auto part = static_cast<int>(blockIdx.y / static_cast<unsigned>(args.g.groups)),
               parts = static_cast<int>(gridDim.y / static_cast<unsigned>(args.g.groups));
    const HeadRange heads(args.g, group, part, parts);
    if (heads.begin >= heads.end) return;
    const auto D_of = [&](int h) { return args.D == nullptr ? 0.0f : args.D[h]; };
    begin(heads.begin, 0);
    auto ahead = Tables::read(args, at, heads.begin);
    float D = D_of(heads.begin);
    if (own < at.blocks) {
      const auto side = static_cast<int>(args.g.padded_chunk());
      read_keys(group);
      gram.load(args.gram + args.g.group_at(at.b, at.c, group) * side * side, side, own, at.blocks);
    }
    tables.put(0, ahead);
    for (int h = heads.begin, buffer = 0; h < heads.end; ++h, buffer ^= 1) {
      core::device::copy_async_wait<0>();
      __syncthreads();
      const bool is_last = h + 1 == heads.end;
      float next_D = 0;
      if (!is_last) {
        begin(h + 1, buffer ^ 1);
        ahead = Tables::read(args, at, h + 1);
        next_D = D_of(h + 1);
      }
      compute(h, buffer, D);
      if (!is_last) tables.put(buffer ^ 1, ahead);
      D = next_D;
    }
  }
};

template <Direction kDirection>
__global__ void __launch_bounds__(kThreads, 2) sum_rows(TokenSums<BFloat16> args) {
  core::device::SharedMemory memory;
  RowSums<kDirection>(args, memory).run();
}

}  // namespace
}  // namespace rows

template <Direction kDirection>
void run_row_sums(core::Context& context, const TokenSums<BFloat16>& args) {
  const Geometry& g = args.g;
  const int64_t chunks = g.batch * g.chunks;
  const int64_t parts =
      token_parts(chunks * g.groups, std::max<int64_t>(1, core::ceil_div(g.heads, g.groups)));
  core::launch(context,
               {.blocks = chunks,
                .blocks_y = g.groups * parts,
                .threads = kThreads,
                .shared_bytes = rows::RowSums<kDirection>::kBytes},
               rows::sum_rows<kDirection>, args);
}
template void run_row_sums<Direction::kForward>(core::Context&, const TokenSums<BFloat16>&);
template void run_row_sums<Direction::kBackward>(core::Context&, const TokenSums<BFloat16>&);

}  // namespace longhaul::kernels::cuda::ssd
