#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace longhaul::core {

/// Up to five extents. All sizes and offsets are 64-bit: int32 overflows past some 61k tokens.
class Shape {
 public:
  static constexpr int kMaxRank = 5;

  Shape() = default;
  Shape(std::initializer_list<int64_t> extents);

  int rank() const { return rank_; }
  int64_t operator[](int dim) const { return extents_[dim]; }
  int64_t& operator[](int dim) { return extents_[dim]; }
  int64_t elements() const;
  /// This shape with one more extent in front.
  Shape with_front(int64_t extent) const;
  void append(int64_t extent);
  bool operator==(const Shape& other) const;
  std::string to_string() const;  // "[2, 3]"

 private:
  std::array<int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape);

}  // namespace longhaul::core
