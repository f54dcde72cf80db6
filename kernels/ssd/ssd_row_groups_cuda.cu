// The gradients to B and C by rows: each is a sum over the heads of a group, taken in one block of
// threads, in which a warp has 16 tokens and the whole state.
#include "kernels/ssd/ssd_gradient.cuh"
#include "kernels/ssd/ssd_rows.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace rows {
namespace {

/// dC counts of what entered the chunk what is left at a token, dB of a token what is left of it at
/// the end.
enum class Of { kC, kB };

struct RowGroups {
  static constexpr int kStages = 4;  ///< of a head: tokens and state
  static constexpr int kTiles = kState / 8;
  static constexpr int64_t kBytes =
      kStages * (Matrix<kHeadDim>::bytes(kChunkOfRows) + Matrix<kState>::bytes(kHeadDim));
  static_assert(kBytes <= kMostShared);

  const Gradient<BFloat16>& args;
  const ChunkPlace at;
  const Matrix<kHeadDim> tokens;
  const Matrix<kState> states;
  const int group, own;
  float total[kTiles][4] = {};

  __device__ RowGroups(const Gradient<BFloat16>& all, core::device::SharedMemory& memory)
      : args(all),
        at(all.g),
        tokens(Matrix<kHeadDim>::take(memory, kStages * kChunkOfRows)),
        states(Matrix<kState>::take(memory, kStages * kHeadDim)),
        group(static_cast<int>(blockIdx.y)),
        own(balanced_block()) {}

  /// total += dΓ (for dB transposed) times the rows of `other`, which is B (for dB: C).
  template <Of kOf>
  __device__ void add_gram(const float* dgram, const Tokens<const BFloat16>& other) {
    const Matrix<kState> matrix{tokens.data};
    static_assert(Matrix<kState>::elements(kChunkOfRows) <=
                  Matrix<kHeadDim>::elements(kStages * kChunkOfRows));
    begin_rows<kChunkOfRows>(matrix, other.at(at.b, at.first) + group * kState, other.token_stride,
                             at.tokens);
    core::device::copy_async_commit();
    core::device::copy_async_wait<0>();
    __syncthreads();
    const auto side = static_cast<int>(args.g.padded_chunk());
    const int64_t square = int64_t{side} * side;
    dgram += args.g.group_at(at.b, at.c, group) * square;
    const int64_t part_stride = args.g.batch * args.g.chunks * args.g.groups * square;
    const int begin = kOf == Of::kC ? 0 : own;
    const int end = kOf == Of::kC ? min(own + 1, at.blocks) : at.blocks;
    for (int block = begin; own < at.blocks && block < end; ++block) {
      uint32_t words[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = own * kBlock + lane_row() + i % 2 * 8;
        const int column = block * kBlock + lane_column() + i / 2 * 8;
        float two[2] = {0, 0};
        for (int part = 0; part < args.dgram_parts; ++part) {
          const float* of_part = dgram + part * part_stride;
#pragma unroll
          for (int k = 0; k < 2; ++k) {
            two[k] += of_part[kOf == Of::kC ? row * side + column + k : (column + k) * side + row];
          }
        }
        words[i] = core::device::pack_bf16(two[0], two[1]);
      }
      multiply_straight(total, words, straight(matrix + block * kBlock));
    }
    __syncthreads();
  }

  /// Of one head, at the two rows of a thread: read before they are needed.
  struct RowFactors {
    LogSum sums[2] = {}, end = {};
    float dt[2] = {0, 0};
  };
  template <Of kOf>
  __device__ RowFactors read_factors(int h) const {
    RowFactors factors;
    if (own >= at.blocks) return factors;
    const LogSum* sums = args.decays.of(args.g.head_at(at.b, at.c, h));
    if (kOf == Of::kB) factors.end = sums[args.decays.padded - 1];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int i = lane_row() + half * 8;
      factors.sums[half] = sums[own * kBlock + i];
      if (kOf == Of::kB && i < at.rows(own)) {
        factors.dt[half] = args.dt.at(at.b, at.first + own * kBlock + i)[h];
      }
    }
    return factors;
  }

  /// With V_h = rows_h · states_h: total += Σ_heads weight(h, row) V_h, and decay(h, row) ⟨V_h,
  /// partner⟩ of each row to `terms` [.., padded chunk]. partners: C where this is dC, B where dB.
  template <Of kOf>
  __device__ void add_states(const Tokens<const BFloat16>& of_tokens, const BFloat16* of_states,
                             const Tokens<const BFloat16>& partners, float* terms) {
    const Geometry& g = args.g;
    float partner[kTiles][4];
    const BFloat16* own_partners =
        partners.at(at.b, at.first + own * kBlock) + group * kState + lane_column();
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = lane_row() + half * 8;
        const uint32_t word =
            row < at.rows(own)
                ? core::device::load_pair(own_partners + row * partners.token_stride + n * 8)
                : 0;
        const float2 two = core::device::unpack_bf16(word);
        partner[n][half * 2] = two.x;
        partner[n][half * 2 + 1] = two.y;
      }
    }
    const BFloat16* token_rows = of_tokens.at(at.b, at.first);
    const BFloat16* state_rows = of_states + g.head_at(at.b, at.c, 0) * g.state_size();
    const HeadRange heads(g, group, 0, 1);
    const auto begin = [&](int h) {
      if (h < heads.end) {
        const int stage = (h - heads.begin) % kStages, row = h * kHeadDim;
        begin_rows<kChunkOfRows>(tokens + stage * kChunkOfRows, token_rows + row,
                                 of_tokens.token_stride, at.tokens);
        begin_rows<kHeadDim>(states + stage * kHeadDim, state_rows + int64_t{row} * kState, kState,
                             kHeadDim);
      }
      core::device::copy_async_commit();
    };
    for (int i = 0; i + 1 < kStages; ++i) begin(heads.begin + i);
    RowFactors factors = read_factors<kOf>(heads.begin);
    for (int h = heads.begin; h < heads.end; ++h) {
      core::device::copy_async_wait<kStages - 2>();
      __syncthreads();
      begin(h + kStages - 1);
      const RowFactors current = factors;
      if (h + 1 < heads.end) factors = read_factors<kOf>(h + 1);
      if (own >= at.blocks) continue;
      float one[kTiles][4] = {};
      multiply_head(one, (h - heads.begin) % kStages);
      add_head<kOf>(one, partner, current,
                    terms + g.head_at(at.b, at.c, h) * g.padded_chunk() + own * kBlock);
    }
  }

  __device__ void multiply_head(float (&one)[kTiles][4], int stage) const {
    const auto left = straight(tokens + (stage * kChunkOfRows + own * kBlock));
    const auto right = straight(states + stage * kHeadDim);
#pragma unroll
    for (int k = 0; k < kHeadDim; k += 16) {
      uint32_t words[4];
      core::device::load_matrices(left + k, words);
      multiply_straight(one, words, right + k * Matrix<kState>::kStride);
    }
  }

  template <Of kOf>
  __device__ void add_head(const float (&one)[kTiles][4], const float (&partner)[kTiles][4],
                           const RowFactors& factors, float* terms) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float decay = kOf == Of::kC ? decay_to(factors.sums[half])
                                        : decay_between(factors.end, factors.sums[half]);
      const float weight = kOf == Of::kC ? decay : decay * factors.dt[half];
      float sum = 0;
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
#pragma unroll
        for (int k = half * 2; k < half * 2 + 2; ++k) {
          sum = fmaf(one[n][k], partner[n][k], sum);
          total[n][k] = fmaf(weight, one[n][k], total[n][k]);
        }
      }
      sum = Accumulator::sum_row(sum);
      const int row = lane_row() + half * 8;
      if (lane() % 4 == 0 && row < at.rows(own)) terms[row] = sum * decay;
    }
  }

  __device__ void store(const Tokens<BFloat16>& target, bool add) {
    const int there = own < at.blocks ? at.rows(own) : 0;
    BFloat16* to = target.at(at.b, at.first + own * kBlock) + group * kState;
    if (add) {
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int row = lane_row() + half * 8;
          if (row >= there) continue;
          const float2 two = core::device::unpack_bf16(
              core::device::load_pair(to + row * target.token_stride + n * 8 + lane_column()));
          total[n][half * 2] += two.x;
          total[n][half * 2 + 1] += two.y;
        }
      }
    }
    each_word(total, [&](int, int row, int column, const core::device::HalfWords& words) {
      if (row < there) core::device::store_words(to + row * target.token_stride + column, words);
    });
  }
};

/// Block (chunk of a sequence, group, dB or dC; without intra dB alone).
__global__ void __launch_bounds__(kThreads, 1)
    group_rows(Gradient<BFloat16> args, const float* dgram) {
  core::device::SharedMemory memory;
  RowGroups group(args, memory);
  if (args.intra && blockIdx.z == 1) {
    group.add_gram<Of::kC>(dgram, args.B);
    group.add_states<Of::kC>(args.dy, args.entering, args.C, args.tokens.to_output);
    group.store(args.dC, false);
    return;
  }
  if (args.intra) group.add_gram<Of::kB>(dgram, args.C);
  if (args.inter) {
    group.add_states<Of::kB>(args.x, args.leaving, args.B, args.tokens.to_leaving);
  }
  group.store(args.dB, !args.intra);
}

}  // namespace
}  // namespace rows

void run_row_groups(core::Context& context, const Gradient<BFloat16>& args,
                    const core::TensorView& dgram) {
  const Geometry& g = args.g;
  core::launch(context,
               {.blocks = g.batch * g.chunks,
                .blocks_y = g.groups,
                .blocks_z = args.intra ? 2 : 1,
                .threads = kThreads,
                .shared_bytes = rows::RowGroups::kBytes},
               rows::group_rows, args, core::optional_pointer<float>(dgram));
}

}  // namespace longhaul::kernels::cuda::ssd
