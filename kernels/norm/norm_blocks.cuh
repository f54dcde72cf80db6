// What both norms share: the threads for a row; backward, how a block of them holds a row in
// registers, and where it sums the gradient of the weight.
#pragma once

#include "kernels/core/block_sum.cuh"
#include "kernels/core/row_sums.cuh"

namespace longhaul::kernels::cuda {

/// What block_sum needs.
constexpr int64_t kScratch = 32 * sizeof(float);

/// Forward: threads for a row of so many packs.
inline int threads_for(int64_t packs) {
  return static_cast<int>(std::clamp<int64_t>((packs + 31) / 32 * 32, 32, 256));
}

/// Packs of a row that a thread keeps between the sum over the row and the gradient that needs it.
/// Rows too long for that are read a second time.
constexpr int kHeldPacks = 2;
constexpr int kMostNormThreads = 1024;

inline int norm_threads(int64_t packs) {
  const int64_t warps = core::ceil_div(packs, 32 * kHeldPacks);
  return static_cast<int>(std::clamp<int64_t>(32 * warps, 32, kMostNormThreads));
}

/// The columns of a row by packs: `first` begins a panel, of which a thread has the packs
/// first + h · threads + thread, h < kHeldPacks.
struct Panels {
  int packs;

  __device__ int width() const { return static_cast<int>(blockDim.x) * kHeldPacks; }
  __device__ bool held() const { return packs <= width(); }
  /// body(h, pack) for the packs of this thread.
  template <class Body>
  __device__ void each(int first, const Body& body) const {
#pragma unroll
    for (int h = 0; h < kHeldPacks; ++h) {
      const int pack = first + h * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x);
      if (pack < packs) body(h, pack);
    }
  }
};

/// A sum for every column, in shared memory: word w of pack i lies among the words w of the other
/// packs, so that adjacent lanes are in different banks. A column belongs to one thread.
template <int N>
class ColumnSums {
 public:
  __device__ ColumnSums(core::device::SharedMemory& memory, int packs)
      : sums_(memory.take<float>(static_cast<int64_t>(packs) * N)), packs_(packs) {}

  __device__ void clear(int pack) {
    for (int w = 0; w < N / kWord; ++w) write(pack, w, {});
  }
  __device__ void add(int pack, const core::device::Pack<float, N>& values) {
#pragma unroll
    for (int w = 0; w < N / kWord; ++w) {
      Word sum = read(pack, w);
      for (int k = 0; k < kWord; ++k) sum.value[k] += values.value[w * kWord + k];
      write(pack, w, sum);
    }
  }
  /// `to`: column 0.
  __device__ void store(int pack, float* to) const {
    for (int w = 0; w < N / kWord; ++w) read(pack, w).store(to + (pack * N + w * kWord));
  }

 private:
  static constexpr int kWord = N == 1 ? 1 : 4;
  using Word = core::device::Pack<float, kWord>;

  __device__ core::device::Shared<float> place(int pack, int w) const {
    return sums_ + (w * packs_ + pack) * kWord;
  }
  __device__ Word read(int pack, int w) const {
    if constexpr (kWord == 1) {
      return {{place(pack, w)[0]}};
    } else {
      return Word::from(core::device::read_words(place(pack, w)));
    }
  }
  __device__ void write(int pack, int w, const Word& values) {
    if constexpr (kWord == 1) {
      place(pack, w)[0] = values.value[0];
    } else {
      core::device::write_words(place(pack, w), values.words());
    }
  }

  core::device::Shared<float> sums_;
  int packs_;
};

/// Shared memory of a backward pass: what block_sum needs and the sums of `columns`.
inline int64_t norm_shared_bytes(int64_t columns) {
  return kScratch + core::ceil_div(columns * 4, 16) * 16;
}

}  // namespace longhaul::kernels::cuda
