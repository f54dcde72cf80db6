// The states from chunk to chunk by rows: a block of threads has the state of a head in registers,
// a warp 16 rows and half of the columns of it, and takes a whole chunk at each step.
#include "kernels/core/block_sum.cuh"
#include "kernels/ssd/ssd_rows.cuh"
#include "kernels/ssd/ssd_scan.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace rows {
namespace {

template <Direction kDirection>
struct RowScan {
  static constexpr bool kForward = kDirection == Direction::kForward;
  static constexpr int kTiles = kState / 2 / 8, kWords = kTiles;
  static constexpr int64_t kBytes = 2 * Matrix<kHeadDim>::bytes(kChunkOfRows) +
                                    2 * Matrix<kState>::bytes(kChunkOfRows) + 2 * kChunkOfRows * 4;
  static_assert(kBytes <= kMostShared);

  const Scan<BFloat16>& args;
  const Matrix<kHeadDim> left;  ///< [2, 128 tokens]
  const Matrix<kState> right;
  const Shared<float> factors;  ///< what a token's share counts
  const int row, column;        ///< of the state, the warp's first
  int h, b, first_chunk, end_chunk;
  int64_t place;                ///< of the head in [batch, runs, heads]
  float value[kTiles][4] = {};  ///< the state
  /// What the next chunk's entry needs, read before.
  core::device::HalfWords partner[kWords];
  float decay = 0;

  __device__ RowScan(const Scan<BFloat16>& all, core::device::SharedMemory& memory)
      : args(all),
        left(Matrix<kHeadDim>::take(memory, 2 * kChunkOfRows)),
        right(Matrix<kState>::take(memory, 2 * kChunkOfRows)),
        factors(memory.take<float>(2 * kChunkOfRows)),
        row(warp() % 4 * 16),
        column(warp() / 4 * (kState / 2)),
        place(blockIdx.x) {
    const auto heads = static_cast<unsigned>(args.g.heads), runs = static_cast<unsigned>(args.runs);
    h = static_cast<int>(blockIdx.x % heads);
    const auto run = static_cast<int64_t>(blockIdx.x / heads % runs);
    b = static_cast<int>(blockIdx.x / heads / runs);
    first_chunk = static_cast<int>(run * args.g.chunks / args.runs);
    end_chunk = static_cast<int>((run + 1) * args.g.chunks / args.runs);
  }

  /// A chunk, `passed` of the run's behind it.
  struct Step {
    int c, tokens;
    int64_t item;  ///< in [batch, chunks, heads]
  };
  __device__ bool is_over(int passed) const { return passed >= end_chunk - first_chunk; }
  __device__ Step at(int passed) const {
    Step step;
    step.c = kForward ? first_chunk + passed : end_chunk - 1 - passed;
    step.tokens = static_cast<int>(args.g.tokens(step.c));
    step.item = args.g.head_at(b, step.c, h);
    return step;
  }

  __device__ void begin(const Step& step, int buffer) const {
    const int64_t token = step.c * args.g.chunk;
    begin_rows<kChunkOfRows>(left + buffer * kChunkOfRows, args.left.at(b, token) + h * kHeadDim,
                             args.left.token_stride, step.tokens);
    begin_rows<kChunkOfRows>(right + buffer * kChunkOfRows,
                             args.right.at(b, token) + args.g.group_of(h) * kState,
                             args.right.token_stride, step.tokens);
    core::device::copy_async_commit();
  }

  using Token = ScanToken<kDirection>;
  __device__ Token read_token(const Step& step) const {
    Token token;
    const int thread = static_cast<int>(threadIdx.x);
    token.is_there = thread < step.tokens;
    if (!token.is_there) return token;
    const LogSum* sums = args.decays.of(step.item);
    token.sum = sums[thread];
    if (kForward) {
      token.end = sums[args.decays.padded - 1];
      token.dt = args.dt.at(b, step.c * args.g.chunk + thread)[h];
    }
    return token;
  }
  __device__ void put_factor(int buffer, const Token& token) const {
    if (threadIdx.x >= kChunkOfRows) return;
    factors[buffer * kChunkOfRows + static_cast<int>(threadIdx.x)] = token.factor();
  }

  __device__ void read_entry(const Step& step) {
    decay = args.decays.over_chunk(step.item);
    if (kForward || args.partner == nullptr) return;
    const BFloat16* from = args.partner + step.item * (kHeadDim * kState) + row * kState + column;
    each_place<kTiles>([&](int u, int word_row, int word_column) {
      partner[u] = core::device::load_half_words(from + word_row * kState + word_column);
    });
  }
  /// The state enters a chunk, and has decayed behind it.
  __device__ void enter(const Step& step) {
    if (args.entering != nullptr) store_entering(step.item);
    scale(value, decay, decay);
  }
  __device__ void store_entering(int64_t item) const {
    const bool sums_up = !kForward && args.partner != nullptr;
    BFloat16* to = args.entering + item * (kHeadDim * kState) + row * kState + column;
    float sum = 0;
    each_word(value,
              [&](int u, int word_row, int word_column, const core::device::HalfWords& words) {
                core::device::store_words(to + word_row * kState + word_column, words);
                if (!sums_up) return;
                const auto own = core::device::Pack<BFloat16, 4>::from(words);
                const auto other = core::device::Pack<BFloat16, 4>::from(partner[u]);
                for (int i = 0; i < 4; ++i) sum += own.value[i] * other.value[i];
              });
    if (!sums_up) return;
    sum = core::device::warp_sum(sum);
    if (lane() == 0) args.through[item * kWarps + warp()] = sum * decay;
  }

  /// value += leftᵀ diag(factors) right over the tokens of a chunk.
  __device__ void add_chunk(int buffer, int tokens) {
    const auto from_left = crossed(left + buffer * kChunkOfRows) + row;
    const auto from_right = straight(right + buffer * kChunkOfRows) + column;
    const auto factor = factors + (buffer * kChunkOfRows + lane_column());
#pragma unroll
    for (int k = 0; k < kChunkOfRows; k += 16) {
      if (k >= tokens) break;
      uint32_t words[4];
      core::device::load_matrices_transposed(from_left + k * Matrix<kHeadDim>::kStride, words);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float2 two = core::device::read_pair(factor + (k + half * 8));
        words[half * 2] = scaled(words[half * 2], two);
        words[half * 2 + 1] = scaled(words[half * 2 + 1], two);
      }
      multiply_straight(value, words, from_right + k * Matrix<kState>::kStride);
    }
  }

  __device__ void read_initial() {
    if (args.initial == nullptr) return;
    const float* from = args.initial + place * (kHeadDim * kState) + row * kState + column;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        value[n][i] = from[(lane_row() + i / 2 * 8) * kState + n * 8 + lane_column() + i % 2];
      }
    }
  }
  __device__ void store_last() const {
    if (args.last == nullptr) return;
    float* to = args.last + place * (kHeadDim * kState) + row * kState + column;
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        core::device::store_pair(to + (lane_row() + half * 8) * kState + n * 8 + lane_column(),
                                 value[n][half * 2], value[n][half * 2 + 1]);
      }
    }
  }

  __device__ void run() {
    read_initial();
    Step step = {};
    if (!is_over(0)) {
      step = at(0);
      begin(step, 0);
      read_entry(step);
      put_factor(0, read_token(step));
    }
    for (int passed = 0, buffer = 0; !is_over(passed); ++passed, buffer ^= 1) {
      core::device::copy_async_wait<0>();
      __syncthreads();
      const bool is_last = is_over(passed + 1);
      Step next = step;
      Token token;
      if (!is_last) {
        next = at(passed + 1);
        begin(next, buffer ^ 1);
        token = read_token(next);
      }
      enter(step);
      if (!is_last) read_entry(next);
      add_chunk(buffer, step.tokens);
      if (!is_last) put_factor(buffer ^ 1, token);
      step = next;
    }
    store_last();
  }
};

/// Block (head, run of chunks of a sequence).
template <Direction kDirection>
__global__ void __launch_bounds__(kThreads, 2) scan_rows(Scan<BFloat16> args) {
  core::device::SharedMemory memory;
  RowScan<kDirection>(args, memory).run();
}

}  // namespace
}  // namespace rows

void run_row_scan(core::Context& context, Direction direction, const Scan<BFloat16>& scan) {
  const core::LaunchShape shape{.blocks = scan.g.batch * scan.runs * scan.g.heads,
                                .threads = kThreads,
                                .shared_bytes = rows::RowScan<Direction::kForward>::kBytes};
  if (direction == Direction::kForward) {
    core::launch(context, shape, rows::scan_rows<Direction::kForward>, scan);
  } else {
    core::launch(context, shape, rows::scan_rows<Direction::kBackward>, scan);
  }
}

}  // namespace longhaul::kernels::cuda::ssd
