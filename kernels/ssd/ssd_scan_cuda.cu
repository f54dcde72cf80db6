// The states from chunk to chunk: S_{c+1} = e^{c_Q} S_c + Σ_i e^{c_Q − c_i} dt_i x_i B_iᵀ, and
// backward G_{c−1} = e^{c_Q} G_c + Σ_i e^{c_i} dy_i C_iᵀ. The part of the recurrence that is ready
// before any work within chunks. A block of threads keeps its part of a head's state in registers
// while the tokens stream past.
#include "kernels/core/block_sum.cuh"
#include "kernels/ssd/ssd_rows.cuh"
#include "kernels/ssd/ssd_scan.cuh"

namespace longhaul::kernels::cuda::ssd {
namespace {

/// Tiles of tokens on their way or in use.
template <class T>
constexpr int kStages = sizeof(T) == 2 ? 3 : 2;

template <class T>
struct ScanSpace {
  TileRow<T, kStages<T>> left;
  TileRow<T, kStages<T> * kStateTiles> right;  ///< all of a stage behind each other
  Shared<float> factors;                       ///< [stages, 64]: what a token's share counts

  __device__ explicit ScanSpace(core::device::SharedMemory& memory)
      : left{memory.take<T>(TileRow<T, kStages<T>>::kElements)},
        right{memory.take<T>(TileRow<T, kStages<T> * kStateTiles>::kElements)},
        factors(memory.take<float>(kStages<T> * kTile)) {}
  static constexpr int64_t kBytes = TileRow<T, kStages<T>>::kBytes +
                                    TileRow<T, kStages<T> * kStateTiles>::kBytes +
                                    kStages<T> * kTile * 4;
  static_assert(kBytes <= kMostShared);
};

/// Block (tile of head_dim and kStateTiles of the state of a head, run of chunks of a sequence).
template <class T, Direction kDirection>
struct ScanBlock {
  static constexpr bool kForward = kDirection == Direction::kForward;
  static constexpr int kElements = 8 / static_cast<int>(sizeof(T));  ///< of a word
  using Element = core::device::Pack<T, kElements>;
  static constexpr int kWords = Accumulator::kWords<T>;

  const Scan<T>& args;
  const ScanSpace<T> s;
  int part, parts, p, n, h, b, first_chunk, end_chunk, rows, columns;
  int64_t place;  ///< of the head in [batch, runs, heads]
  const T *left, *right;
  const float* dt;
  Accumulator value[kStateTiles];  ///< the state

  /// What the next chunk's entry needs, read before.
  core::device::HalfWords partner[kStateTiles][kWords];
  float decay;

  __device__ ScanBlock(const Scan<T>& all, core::device::SharedMemory& memory)
      : args(all), s(memory) {
    const Geometry& g = args.g;
    const auto across = static_cast<unsigned>(g.state_blocks());
    parts = static_cast<int>(state_parts(g.head_dim, g.state));
    part = static_cast<int>(blockIdx.x % static_cast<unsigned>(parts));
    const unsigned head = blockIdx.x / static_cast<unsigned>(parts),
                   heads = static_cast<unsigned>(g.heads), runs = static_cast<unsigned>(args.runs);
    place = head;
    h = static_cast<int>(head % heads);
    const auto run = static_cast<int64_t>(head / heads % runs);
    b = static_cast<int>(head / heads / runs);
    first_chunk = static_cast<int>(run * g.chunks / args.runs);
    end_chunk = static_cast<int>((run + 1) * g.chunks / args.runs);
    p = static_cast<int>(static_cast<unsigned>(part) / across) * kTile;
    n = static_cast<int>(static_cast<unsigned>(part) % across) * kTile * kStateTiles;
    rows = min(static_cast<int>(g.head_dim) - p, kTile);
    columns = min(static_cast<int>(g.state) - n, kStateTiles * kTile);
    left = args.left.at(b, 0) + h * g.head_dim + p;
    right = args.right.at(b, 0) + g.group_of(h) * g.state + n;
    dt = kForward ? args.dt.at(b, 0) + h : nullptr;
  }

  __device__ int width(int k) const { return min(columns - k * kTile, kTile); }

  /// A tile of tokens whose turn it is.
  struct Step {
    int passed = 0;  ///< chunks of the run that are behind
    int tile = 0, stage = 0;
    int depth;            ///< tokens; 0 or less behind the end of the sequence or of the run
    int64_t token, item;  ///< the first token; the head in [batch, chunks, heads]
  };
  __device__ bool is_over(const Step& step) const { return step.passed >= end_chunk - first_chunk; }
  __device__ void locate(Step& step) const {
    const Geometry& g = args.g;
    const int64_t c = kForward ? first_chunk + step.passed : end_chunk - 1 - step.passed;
    step.token = c * g.chunk + step.tile * kTile;
    step.item = g.head_at(b, c, h);
    const int64_t rest = g.tokens(c) - step.tile * kTile;
    step.depth = is_over(step) ? 0 : static_cast<int>(rest < kTile ? rest : kTile);
  }
  __device__ Step behind(Step step) const {
    step.stage = step.stage + 1 < kStages<T> ? step.stage + 1 : 0;
    if (++step.tile == static_cast<int>(args.g.tiles)) {
      step.tile = 0;
      ++step.passed;
    }
    locate(step);
    return step;
  }

  __device__ TileRow<T, kStateTiles> right_tiles(const Step& step) const {
    return {s.right.data + step.stage * static_cast<int>(TileRow<T, kStateTiles>::kElements)};
  }
  __device__ void begin(const Step& step) const {
    if (step.depth > 0) {
      begin_tile(s.left[step.stage], left + step.token * args.left.token_stride,
                 args.left.token_stride, {step.depth, rows}, args.g.packed);
#pragma unroll
      for (int k = 0; k < kStateTiles; ++k) {
        if (width(k) <= 0) break;
        begin_tile(right_tiles(step)[k], right + step.token * args.right.token_stride + k * kTile,
                   args.right.token_stride, {step.depth, width(k)}, args.g.packed);
      }
    }
    core::device::copy_async_commit();
  }

  using Token = ScanToken<kDirection>;
  __device__ Token read_token(const Step& step) const {
    Token token;
    const int thread = static_cast<int>(threadIdx.x);
    token.is_there = thread < step.depth;
    if (!token.is_there) return token;
    const LogSum* sums = args.decays.of(step.item);
    token.sum = sums[step.tile * kTile + thread];
    if (kForward) {
      token.end = sums[args.decays.padded - 1];
      token.dt = dt[(step.token + thread) * args.dt.token_stride];
    }
    return token;
  }
  __device__ void put_factor(const Step& step, const Token& token) const {
    if (threadIdx.x >= kTile) return;
    s.factors[step.stage * kTile + static_cast<int>(threadIdx.x)] = token.factor();
  }

  /// Where word u of tile k lies in the state, and how many of its columns are there.
  struct WordPlace {
    int64_t offset;
    int there;
  };
  __device__ WordPlace place_of(int k, int u) const {
    const int row = Accumulator::word_row<T>(u), column = Accumulator::word_column<T>(u);
    return {(p + row) * args.g.state + n + k * kTile + column, row < rows ? width(k) - column : 0};
  }
  __device__ void read_entry(const Step& step) {
    if (is_over(step)) return;
    decay = args.decays.over_chunk(step.item);
    if (kForward || args.partner == nullptr) return;
    const T* from = args.partner + step.item * args.g.state_size();
#pragma unroll
    for (int k = 0; k < kStateTiles; ++k) {
#pragma unroll
      for (int u = 0; u < kWords; ++u) {
        const auto [offset, there] = place_of(k, u);
        if (there <= 0) continue;
        if (args.g.state_packed) {
          partner[k][u] = core::device::load_half_words(from + offset);
          continue;
        }
        Element element = {};
        for (int i = 0; i < kElements; ++i) {
          if (i < there) element.value[i] = core::device::to_float(from[offset + i]);
        }
        partner[k][u] = element.words();
      }
    }
  }

  /// The state enters a chunk, and has decayed behind it.
  __device__ void enter(int64_t item) {
    if (args.entering != nullptr) store_entering(item);
#pragma unroll
    for (Accumulator& each : value) {
      each.scale_rows([&](int) { return decay; });
    }
  }
  __device__ void store_entering(int64_t item) {
    T* to = args.entering + item * args.g.state_size();
    float sum = 0;
#pragma unroll
    for (int k = 0; k < kStateTiles; ++k) {
      value[k].template each_word<T>([&](int u, const core::device::HalfWords& words) {
        const auto [offset, there] = place_of(k, u);
        if (there <= 0) return;
        store_word(to + offset, words, there, args.g.state_packed);
        if (kForward || args.partner == nullptr) return;
        const Element own = Element::from(words);
        const Element other = Element::from(partner[k][u]);
        for (int i = 0; i < kElements; ++i) sum += own.value[i] * other.value[i];
      });
    }
    if (kForward || args.partner == nullptr) return;
    sum = core::device::warp_sum(sum);
    if (Accumulator::lane() == 0) {
      args.through[(item * parts + part) * kWarps + Accumulator::warp()] = sum * decay;
    }
  }

  __device__ void read_initial() {
    if (args.initial == nullptr) return;
    const float* from = args.initial + place * args.g.state_size() + p * args.g.state + n;
#pragma unroll
    for (int k = 0; k < kStateTiles; ++k) {
      value[k].each([&](int row, int column, float& v) {
        if (row < rows && column < width(k)) v = from[row * args.g.state + k * kTile + column];
      });
    }
  }
  __device__ void store_last() const {
    if (args.last == nullptr) return;
    float* to = args.last + place * args.g.state_size() + p * args.g.state + n;
#pragma unroll
    for (int k = 0; k < kStateTiles; ++k) {
      if (width(k) <= 0) break;
      value[k].store(to + k * kTile, args.g.state, {rows, width(k)}, args.g.state % 2 == 0);
    }
  }

  __device__ void run() {
    constexpr int kAhead = kStages<T> - 1;
    Step step, ahead;
    locate(step);
    ahead = step;
    for (int i = 0; i < kAhead; ++i) {
      begin(ahead);
      put_factor(ahead, read_token(ahead));
      ahead = behind(ahead);
    }
    read_initial();
    read_entry(step);
    while (!is_over(step)) {
      core::device::copy_async_wait<kAhead - 1>();
      __syncthreads();
      begin(ahead);
      const Token token = read_token(ahead);
      if (step.tile == 0) enter(step.item);
      const Step next = behind(step);
      if (next.tile == 0) read_entry(next);
      multiply<true, false>(value, s.left[step.stage], right_tiles(step),
                            {rows, columns, step.depth}, s.factors + step.stage * kTile);
      put_factor(ahead, token);
      ahead = behind(ahead);
      step = next;
    }
    store_last();
  }
};

template <class T, Direction kDirection>
__global__ void __launch_bounds__(kThreads, sizeof(T) == 2 ? 2 : 1) scan_chunks(Scan<T> args) {
  core::device::SharedMemory memory;
  ScanBlock<T, kDirection>(args, memory).run();
}

/// Item: one head of one run of a sequence. The decay over all of the run's chunks.
struct SumRuns {
  Geometry g;
  Decays decays;
  int64_t runs;
  float* run_decays;
  __device__ void operator()(int64_t i) const {
    const int64_t h = i % g.heads, run = i / g.heads % runs, b = i / g.heads / runs;
    double sum = 0;
    for (int64_t c = run * g.chunks / runs; c < (run + 1) * g.chunks / runs; ++c) {
      sum += natural_log(decays.of(g.head_at(b, c, h))[decays.padded - 1]);
    }
    run_decays[i] = static_cast<float>(exp(fmin(sum, 0.0)));
  }
};

/// Item: one element of the state of one head of one sequence. What each run adds becomes what
/// enters it.
struct PassRuns {
  Geometry g;
  int64_t runs;
  bool forward;
  const float *run_decays, *initial;
  float *own, *last;  ///< last or null
  __device__ void operator()(int64_t i) const {
    const int64_t element = i % g.state_size(), head = i / g.state_size();
    const int64_t h = head % g.heads, b = head / g.heads;
    float value = initial == nullptr ? 0.0f : initial[i];
    for (int64_t step = 0; step < runs; ++step) {
      const int64_t run = forward ? step : runs - 1 - step, at = (b * runs + run) * g.heads + h;
      float* place = own + at * g.state_size() + element;
      const float added = *place;
      *place = value;
      value = run_decays[at] * value + added;
    }
    if (last != nullptr) last[i] = value;
  }
};

template <class T>
void launch_scan(core::Context& context, Direction direction, const Scan<T>& scan) {
  const Geometry& g = scan.g;
  if constexpr (std::is_same_v<T, BFloat16>) {
    if (rows::fits<T>(context, g)) return run_row_scan(context, direction, scan);
  }
  const core::LaunchShape shape{
      .blocks = g.batch * scan.runs * g.heads * state_parts(g.head_dim, g.state),
      .threads = kThreads,
      .shared_bytes = ScanSpace<T>::kBytes};
  if (direction == Direction::kForward) {
    core::launch(context, shape, scan_chunks<T, Direction::kForward>, scan);
  } else {
    core::launch(context, shape, scan_chunks<T, Direction::kBackward>, scan);
  }
}

}  // namespace

template <class T>
void scan_states(core::Context& context, const Geometry& g, const Decays& decays,
                 const StateScan<T>& args) {
  Scan<T> scan{.g = g,
               .left = args.left,
               .right = args.right,
               .dt = args.dt,
               .decays = decays,
               .runs = 1,
               .initial = core::optional_pointer<float>(args.initial),
               .last = core::optional_pointer<float>(args.last),
               .entering = args.entering,
               .partner = args.partner,
               .through = args.through};
  const int64_t heads = g.batch * g.heads;
  const int64_t runs =
      chunk_runs(heads * state_parts(g.head_dim, g.state), g.chunks, args.entering != nullptr);
  if (runs == 1) return launch_scan(context, args.direction, scan);
  const core::Tensor states(context, core::DType::kF32, {heads * runs, g.state_size()});
  const core::Tensor run_decays(context, core::DType::kF32, {heads * runs});
  Scan<T> added = scan;
  added.runs = static_cast<int>(runs);
  added.initial = nullptr;
  added.last = states.data<float>();
  added.entering = nullptr;
  added.partner = nullptr;
  launch_scan(context, args.direction, added);
  core::for_each(context, heads * runs, SumRuns{g, decays, runs, run_decays.data<float>()});
  core::for_each(context, heads * g.state_size(),
                 PassRuns{.g = g,
                          .runs = runs,
                          .forward = args.direction == Direction::kForward,
                          .run_decays = run_decays.data<float>(),
                          .initial = scan.initial,
                          .own = states.data<float>(),
                          .last = scan.last});
  if (args.entering == nullptr) return;
  scan.runs = added.runs;
  scan.initial = states.data<float>();
  scan.last = nullptr;
  launch_scan(context, args.direction, scan);
}
template void scan_states<float>(core::Context&, const Geometry&, const Decays&,
                                 const StateScan<float>&);
template void scan_states<BFloat16>(core::Context&, const Geometry&, const Decays&,
                                    const StateScan<BFloat16>&);

}  // namespace longhaul::kernels::cuda::ssd
