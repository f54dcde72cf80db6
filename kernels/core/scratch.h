// Working memory of a CPU op's item: many arrays, one allocation.
#pragma once

#include "kernels/core/tensor.h"

namespace longhaul::core {

/// Cuts one allocation into the arrays that `Arrays::each(sizes…, f)` names with their elements,
/// each at a multiple of 64 bytes.
template <class T, class Arrays>
class Scratch : public Arrays {
 public:
  template <class... Sizes>
  explicit Scratch(Context& context, const Sizes&... sizes) {
    memory_ = Tensor(context, kDTypeOf<T>, {elements(sizes...)});
    T* next = memory_.data<T>();
    Arrays::each(sizes..., [&](T*& array, int64_t size) {
      array = next;
      next += round_up(size);
    });
  }
  template <class... Sizes>
  static int64_t elements(const Sizes&... sizes) {
    int64_t total = 0;
    Arrays{}.each(sizes..., [&](T*&, int64_t size) { total += round_up(size); });
    return total;
  }

 private:
  static int64_t round_up(int64_t size) {
    constexpr int64_t kLine = 64 / sizeof(T);
    return (size + kLine - 1) / kLine * kLine;
  }
  Tensor memory_;
};

}  // namespace longhaul::core
