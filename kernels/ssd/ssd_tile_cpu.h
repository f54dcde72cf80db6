// Products of small padded matrices in registers: the arithmetic of the CPU recurrence. Matrices
// are row-major in scratch memory, both extents padded with zeros to kPad elements, so that no
// product has an edge.
#pragma once

#include <algorithm>
#include <cstdint>

namespace longhaul::kernels::cpu::ssd {

// A tile of kTileRows × 2 vectors must fit the register file together with its operands (32
// registers with AVX-512, else 16). Four rows × four vectors loads as little, but measured 20 %
// slower.
#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
inline constexpr int kTileRows = 8;
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32;
inline constexpr int kTileRows = 4;
#else
inline constexpr int kVectorBytes = 16;
inline constexpr int kTileRows = 2;
#endif

template <class T>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));
// A row of tiles must end within the vectors that touch the diagonal.
static_assert(kTileRows <= kLanes<double>);
/// Extents are multiples of this.
template <class T>
inline constexpr int64_t kPad = kLanes<T>;
template <class T>
constexpr int64_t padded(int64_t extent) {
  return (extent + kPad<T> - 1) / kPad<T> * kPad<T>;
}

template <class T>
struct VectorTypes;
template <>
struct VectorTypes<float> {
  typedef float Vector __attribute__((vector_size(kVectorBytes)));
  typedef float Unaligned __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
  using LaneNumber = int32_t;
  typedef LaneNumber Index __attribute__((vector_size(kVectorBytes)));
};
template <>
struct VectorTypes<double> {
  typedef double Vector __attribute__((vector_size(kVectorBytes)));
  typedef double Unaligned __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
  using LaneNumber = int64_t;
  typedef LaneNumber Index __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Vector = typename VectorTypes<T>::Vector;
template <class T>
using Index = typename VectorTypes<T>::Index;
template <class T>
using LaneNumber = typename VectorTypes<T>::LaneNumber;

template <class T>
[[gnu::always_inline]] inline Vector<T> load(const T* from) {
  return *reinterpret_cast<const typename VectorTypes<T>::Unaligned*>(from);
}
template <class T>
[[gnu::always_inline]] inline void store(T* to, Vector<T> value) {
  *reinterpret_cast<typename VectorTypes<T>::Unaligned*>(to) = value;
}
/// 0, 1, 2, …
template <class T>
[[gnu::always_inline]] inline Index<T> lane_numbers() {
  Index<T> result{};
  for (int lane = 0; lane < kLanes<T>; ++lane) result[lane] = lane;
  return result;
}
/// The sum of the lanes, in the order of a tree.
template <class T>
[[gnu::always_inline]] inline T sum_of_lanes(Vector<T> v) {
#pragma GCC unroll 4
  for (int half = kLanes<T> / 2; half > 0; half /= 2)
    v += __builtin_shuffle(v, lane_numbers<T>() ^ half);
  return v[0];
}

/// kTileRows × (kVectors · lanes) elements of a product, held in registers.
template <class T, int kVectors>
struct Tile {
  static constexpr int64_t kColumns = kVectors * kLanes<T>;
  Vector<T> row[kTileRows][kVectors];

  [[gnu::always_inline]] void clear() {
    for (auto& r : row) {
      for (auto& v : r) v = Vector<T>{};
    }
  }
  /// += a b, a [kTileRows, depth], b [depth, kColumns].
  [[gnu::always_inline]] void add(int64_t depth, const T* a, int64_t lda, const T* b, int64_t ldb) {
    for (int64_t k = 0; k < depth; ++k) add_outer(a + k, lda, b + k * ldb);
  }
  /// += aᵀ b, a [depth, kTileRows], b [depth, kColumns].
  [[gnu::always_inline]] void add_transposed(int64_t depth, const T* a, int64_t lda, const T* b,
                                             int64_t ldb) {
    for (int64_t k = 0; k < depth; ++k) add_outer(a + k * lda, 1, b + k * ldb);
  }
  [[gnu::always_inline]] void scale(const T* factors) {
    for (int r = 0; r < kTileRows; ++r) {
      for (auto& v : row[r]) v *= factors[r];
    }
  }
  [[gnu::always_inline]] void add_to(T* c, int64_t ldc) const {
    for (int r = 0; r < kTileRows; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        T* at = c + r * ldc + v * kLanes<T>;
        ssd::store<T>(at, ssd::load(at) + row[r][v]);
      }
    }
  }
  /// c = factor c + this.
  [[gnu::always_inline]] void add_to_scaled(T* c, int64_t ldc, T factor) const {
    for (int r = 0; r < kTileRows; ++r) {
      for (int v = 0; v < kVectors; ++v) {
        T* at = c + r * ldc + v * kLanes<T>;
        ssd::store<T>(at, factor * ssd::load(at) + row[r][v]);
      }
    }
  }
  [[gnu::always_inline]] void store(T* c, int64_t ldc) const {
    for (int r = 0; r < kTileRows; ++r) {
      for (int v = 0; v < kVectors; ++v) ssd::store<T>(c + r * ldc + v * kLanes<T>, row[r][v]);
    }
  }
  /// Only `rows` × `columns` of it: the edge of a caller's tensor.
  [[gnu::always_inline]] void store_part(T* c, int64_t ldc, int64_t rows, int64_t columns) const {
    if (rows >= kTileRows && columns >= kColumns) return store(c, ldc);
    alignas(kVectorBytes) T whole[kTileRows * kColumns];
    store(whole, kColumns);
    for (int64_t r = 0; r < std::min<int64_t>(rows, kTileRows); ++r) {
      for (int64_t j = 0; j < std::min(columns, kColumns); ++j)
        c[r * ldc + j] = whole[r * kColumns + j];
    }
  }
  /// The same, added to what is there.
  [[gnu::always_inline]] void add_part(T* c, int64_t ldc, int64_t rows, int64_t columns) const {
    if (rows >= kTileRows && columns >= kColumns) return add_to(c, ldc);
    alignas(kVectorBytes) T whole[kTileRows * kColumns];
    store(whole, kColumns);
    for (int64_t r = 0; r < std::min<int64_t>(rows, kTileRows); ++r) {
      for (int64_t j = 0; j < std::min(columns, kColumns); ++j)
        c[r * ldc + j] += whole[r * kColumns + j];
    }
  }
  /// sums[r] += ⟨row r, b's row r⟩.
  [[gnu::always_inline]] void add_dots(const T* b, int64_t ldb, T* sums) const {
    for (int r = 0; r < kTileRows; ++r) {
      Vector<T> products = row[r][0] * ssd::load(b + r * ldb);
      for (int v = 1; v < kVectors; ++v)
        products += row[r][v] * ssd::load(b + r * ldb + v * kLanes<T>);
      sums[r] += sum_of_lanes<T>(products);
    }
  }

 private:
  [[gnu::always_inline]] void add_outer(const T* a, int64_t step, const T* b) {
    Vector<T> right[kVectors];
    for (int v = 0; v < kVectors; ++v) right[v] = ssd::load(b + v * kLanes<T>);
    for (int r = 0; r < kTileRows; ++r) {
      const T left = a[r * step];
      for (int v = 0; v < kVectors; ++v) row[r][v] += left * right[v];
    }
  }
};

/// body(tile, i, j) for the tiles of a [rows, columns] matrix (both padded), each cleared.
template <class T, class Body>
[[gnu::always_inline]] inline void for_tiles(int64_t rows, int64_t columns, const Body& body) {
  int64_t j = 0;
  for (; j + Tile<T, 2>::kColumns <= columns; j += Tile<T, 2>::kColumns) {
    for (int64_t i = 0; i < rows; i += kTileRows) {
      Tile<T, 2> tile;
      tile.clear();
      body(tile, i, j);
    }
  }
  for (; j < columns; j += Tile<T, 1>::kColumns) {
    for (int64_t i = 0; i < rows; i += kTileRows) {
      Tile<T, 1> tile;
      tile.clear();
      body(tile, i, j);
    }
  }
}

/// body(tile, i, j) for the tiles of a [rows, rows] matrix that touch the diagonal or lie below it.
template <class T, class Body>
[[gnu::always_inline]] inline void for_causal_tiles(int64_t rows, const Body& body) {
  for (int64_t i = 0; i < rows; i += kTileRows) {
    int64_t j = 0;
    for (; j + kLanes<T> < i + kTileRows && j + Tile<T, 2>::kColumns <= rows;
         j += Tile<T, 2>::kColumns) {
      Tile<T, 2> tile;
      tile.clear();
      body(tile, i, j);
    }
    for (; j < i + kTileRows; j += Tile<T, 1>::kColumns) {
      Tile<T, 1> tile;
      tile.clear();
      body(tile, i, j);
    }
  }
}

/// to [columns, rows] = fromᵀ, from [rows, columns]; both extents padded.
template <class T>
void transpose(int64_t rows, int64_t columns, const T* from, int64_t ld_from, T* to,
               int64_t ld_to) {
  constexpr int kSide = kLanes<T>;
  const Index<T> lanes = lane_numbers<T>();
  for (int64_t i = 0; i < rows; i += kSide) {
    for (int64_t j = 0; j < columns; j += kSide) {
      Vector<T> line[kSide];
#pragma GCC unroll 16
      for (int r = 0; r < kSide; ++r) line[r] = load(from + (i + r) * ld_from + j);
        // Swaps the off-diagonal halves of 2 × 2 blocks of side 1, 2, 4, ….
#pragma GCC unroll 4
      for (int side = 1; side < kSide; side *= 2) {
        const Index<T> upper = (lanes & side) == 0 ? lanes : lanes - side + kSide;
        const Index<T> lower = (lanes & side) == 0 ? lanes + side : lanes + kSide;
#pragma GCC unroll 16
        for (int r = 0; r < kSide; ++r) {
          if (r & side) continue;
          const Vector<T> a = line[r], b = line[r + side];
          line[r] = __builtin_shuffle(a, b, upper);
          line[r + side] = __builtin_shuffle(a, b, lower);
        }
      }
#pragma GCC unroll 16
      for (int r = 0; r < kSide; ++r) store<T>(to + (j + r) * ld_to + i, line[r]);
    }
  }
}

}  // namespace longhaul::kernels::cpu::ssd
