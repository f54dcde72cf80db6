// The gradients to B and C by rows: each is a sum over the heads of a group or of a part of it,
// taken in one block of threads, in which a warp has 16 tokens and the whole state.
#include "kernels/ssd/ssd_gradient.cuh"
#include "kernels/ssd/ssd_rows.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace rows {
namespace {

/// dC counts of what entered the chunk what is left at a token, dB of a token what is left of it at
/// the end.
enum class Of { kC, kB };

/// kInParts: other blocks have other heads of the group.
template <bool kInParts>
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
        group(static_cast<int>(kInParts ? blockIdx.y % static_cast<unsigned>(all.g.groups)
                                        : blockIdx.y)),
        own(balanced_block()) {}
  /// Of the heads of the group.
  __device__ int part() const {
    return kInParts ? static_cast<int>(blockIdx.y / static_cast<unsigned>(args.g.groups)) : 0;
  }
  __device__ int parts() const {
    return kInParts ? static_cast<int>(gridDim.y / static_cast<unsigned>(args.g.groups)) : 1;
  }

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
    const HeadRange heads(g, group, part(), parts());
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
  /// As they are, [128, state].
  __device__ void store_sums(float* to) const {
    if (own >= at.blocks) return;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = own * kBlock + lane_row() + half * 8;
        core::device::store_pair(to + row * kState + n * 8 + lane_column(), total[n][half * 2],
                                 total[n][half * 2 + 1]);
      }
    }
  }
};

/// Sums of the parts of the heads, where there are several: [parts, dB and dC, batch, chunks,
/// groups, 128, state].
struct GroupParts {
  int64_t count = 1;
  float* sums = nullptr;

  __device__ float* of(const Geometry& g, int64_t part, Of of, int64_t group_at) const {
    const int64_t gradient = part * 2 + (of == Of::kC ? 1 : 0);
    return sums + (gradient * g.batch * g.chunks * g.groups + group_at) * kChunkOfRows * kState;
  }
};

/// Block (chunk of a sequence, part of the heads of a group, dB or dC; without intra dB alone).
template <bool kInParts>
__global__ void __launch_bounds__(kThreads, 1)
    group_rows(Gradient<BFloat16> args, const float* dgram, GroupParts parts) {
  core::device::SharedMemory memory;
  RowGroups<kInParts> group(args, memory);
  const bool has_gram = args.intra && group.part() == 0;
  const auto store = [&](Of of, const Tokens<BFloat16>& target, bool add) {
    if constexpr (kInParts) {
      const int64_t place = args.g.group_at(group.at.b, group.at.c, group.group);
      group.store_sums(parts.of(args.g, group.part(), of, place));
    } else {
      group.store(target, add);
    }
  };
  if (args.intra && blockIdx.z == 1) {
    if (has_gram) group.template add_gram<Of::kC>(dgram, args.B);
    group.template add_states<Of::kC>(args.dy, args.entering, args.C, args.tokens.to_output);
    store(Of::kC, args.dC, false);
    return;
  }
  if (has_gram) group.template add_gram<Of::kB>(dgram, args.C);
  if (args.inter) {
    group.template add_states<Of::kB>(args.x, args.leaving, args.B, args.tokens.to_leaving);
  }
  store(Of::kB, args.dB, !args.intra);
}

/// Item: a pack of dB, then of dC: [batch, length, groups, state].
struct AddParts {
  static constexpr int kPack = 4;

  Geometry g;
  GroupParts parts;
  Tokens<BFloat16> dB, dC;
  bool add;  ///< to what is there

  __device__ void operator()(int64_t i) const {
    const auto next = [&i](int64_t extent) {
      const int64_t at = i % extent;
      i /= extent;
      return at;
    };
    const int64_t column = next(kState / kPack) * kPack, group = next(g.groups);
    const int64_t t = next(g.length), b = next(g.batch), c = t / g.chunk;
    const Of of = i == 0 ? Of::kB : Of::kC;
    const int64_t within = t % g.chunk * kState + column;
    core::device::Pack<float, kPack> sum = {};
    for (int64_t part = 0; part < parts.count; ++part) {
      const auto one = core::device::Pack<float, kPack>::load(
          parts.of(g, part, of, g.group_at(b, c, group)) + within);
      for (int k = 0; k < kPack; ++k) sum.value[k] += one.value[k];
    }
    BFloat16* to = (of == Of::kB ? dB : dC).at(b, t) + group * kState + column;
    core::device::Pack<BFloat16, kPack> result = {};
    if (add) result = core::device::Pack<BFloat16, kPack>::load(to);
    for (int k = 0; k < kPack; ++k) result.value[k] += sum.value[k];
    result.store(to);
  }
};

}  // namespace
}  // namespace rows

void run_row_groups(core::Context& context, const Gradient<BFloat16>& args,
                    const core::TensorView& dgram) {
  const Geometry& g = args.g;
  const int64_t groups = g.batch * g.chunks * g.groups, gradients = args.intra ? 2 : 1;
  rows::GroupParts parts{.count = gradient_parts(groups, g.heads / g.groups)};
  core::Tensor sums;
  if (parts.count > 1) {
    sums =
        core::Tensor(context, core::DType::kF32, {parts.count * 2 * groups, kChunkOfRows, g.state});
    parts.sums = sums.data<float>();
  }
  core::launch(context,
               {.blocks = g.batch * g.chunks,
                .blocks_y = g.groups * parts.count,
                .blocks_z = gradients,
                .threads = kThreads,
                .shared_bytes = rows::RowGroups<true>::kBytes},
               parts.count > 1 ? rows::group_rows<true> : rows::group_rows<false>, args,
               core::optional_pointer<float>(dgram), parts);
  if (parts.count == 1) return;
  core::for_each(
      context, gradients * g.batch * g.length * g.groups * (g.state / rows::AddParts::kPack),
      rows::AddParts{.g = g, .parts = parts, .dB = args.dB, .dC = args.dC, .add = !args.intra});
}

}  // namespace longhaul::kernels::cuda::ssd
