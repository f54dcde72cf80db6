// What both directions of the convolution on the CPU read: rows of x with the state in front, and
// the weights with adjacent channels.
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "kernels/core/tensor.h"
#include "kernels/core/unrolled.h"

namespace longhaul::kernels::cpu {

using core::unrolled;

/// Rows computed at once, so that they share the loads of x and of the taps. Only what models are
/// trained with is worth the compile time: fp32 with four taps.
template <class T, int K>
inline constexpr int kTogether = std::is_same_v<T, float>&& K == 4 ? 4 : 1;

/// Channels [begin, end) that a loop works on at once, so that taps and the rows that several
/// outputs share stay in the nearest cache.
struct Channels {
  int64_t begin, end;
};

/// weight [channels, K] transposed to [K][channels], and a bias that is never absent.
template <class T>
struct Taps {
  int64_t channels;
  std::vector<T> weight, bias;

  Taps(const core::TensorView& weights, const core::TensorView& biases)
      : channels(weights.extent(0)),
        weight(static_cast<size_t>(weights.elements())),
        bias(static_cast<size_t>(channels)) {
    const int64_t taps = weights.extent(1);
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t j = 0; j < taps; ++j) weight[j * channels + c] = weights.data<T>()[c * taps + j];
    }
    if (biases) std::copy_n(biases.data<T>(), channels, bias.begin());
  }
  const T* tap(int64_t j) const { return weight.data() + j * channels; }
};

/// Row t of sequence b, from −(K−1), where the state (or zeros) begins, to length − 1.
template <class T, int K>
class Rows {
 public:
  Rows(const core::TensorView& x, const core::TensorView& state)
      : x_(x), state_(state), zeros_(static_cast<size_t>(x.extent(2))) {}

  const T* at(int64_t b, int64_t t) const {
    if (t >= 0) return x_.data<T>() + b * x_.stride(0) + t * x_.stride(1);
    if (!state_) return zeros_.data();
    return state_.data<T>() + b * state_.stride(0) + (t + K - 1) * state_.stride(1);
  }

 private:
  core::TensorView x_, state_;
  std::vector<T> zeros_;
};

/// body(std::integral_constant<int, K>) for K from 1 to 8.
template <class Body>
void dispatch_taps(int64_t taps, const Body& body) {
  auto try_from = [&]<int K>(auto& self, std::integral_constant<int, K> k) -> void {
    if (taps == K) return body(k);
    if constexpr (K < 8) self(self, std::integral_constant<int, K + 1>{});
  };
  try_from(try_from, std::integral_constant<int, 1>{});
}

}  // namespace longhaul::kernels::cpu
