#include "kernels/core/shape.h"

#include <glog/logging.h>

#include <ostream>

namespace longhaul::core {

Shape::Shape(std::initializer_list<int64_t> extents) {
  for (int64_t extent : extents) append(extent);
}

void Shape::append(int64_t extent) {
  CHECK_LT(rank_, kMaxRank);
  CHECK_GE(extent, 0);
  extents_[rank_++] = extent;
}

int64_t Shape::elements() const {
  int64_t product = 1;
  for (int i = 0; i < rank_; ++i) product *= extents_[i];
  return product;
}

Shape Shape::with_front(int64_t extent) const {
  Shape result;
  result.append(extent);
  for (int i = 0; i < rank_; ++i) result.append(extents_[i]);
  return result;
}

bool Shape::operator==(const Shape& other) const {
  if (rank_ != other.rank_) return false;
  for (int i = 0; i < rank_; ++i) {
    if (extents_[i] != other.extents_[i]) return false;
  }
  return true;
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) text += (i ? ", " : "") + std::to_string(extents_[i]);
  return text + "]";
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.to_string(); }

}  // namespace longhaul::core
