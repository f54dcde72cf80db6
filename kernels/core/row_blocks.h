// Sums over rows (gradients of weights that every row shares) in an order that does not depend on
// the number of threads: the rows are cut into blocks by their number alone, each block is summed
// by one thread, and the blocks' sums are added in order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/core/parallel.h"
#include "kernels/core/tensor.h"

namespace longhaul::core {

/// The cut of `rows` into at most 64 blocks of at least 16 rows.
class RowBlocks {
 public:
  explicit RowBlocks(int64_t rows)
      : rows_(rows), count_(std::clamp<int64_t>((rows + kLeast - 1) / kLeast, 1, kMost)) {}
  int64_t count() const { return count_; }
  int64_t begin(int64_t block) const { return rows_ * block / count_; }
  int64_t end(int64_t block) const { return rows_ * (block + 1) / count_; }

 private:
  static constexpr int64_t kLeast = 16, kMost = 64;
  int64_t rows_, count_;
};

/// target[i] += Σ_block body's sums; body(begin, end, sums) adds its rows to sums [width], which
/// start at 0.
template <class T, class Body>
void sum_over_rows(Context& context, int64_t rows, int64_t width, T* target, const Body& body) {
  const RowBlocks blocks(rows);
  const Tensor partial(context, kDTypeOf<T>, {blocks.count(), width});
  T* sums = partial.data<T>();
  parallel_items(context, blocks.count(), [&](int64_t block) {
    T* own = sums + block * width;
    std::fill(own, own + width, T(0));
    body(blocks.begin(block), blocks.end(block), own);
  });
  parallel_ranges(context, width, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t block = 0; block < blocks.count(); ++block) {
      const T* own = sums + block * width;
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) target[i] += own[i];
    }
  });
}

}  // namespace longhaul::core
