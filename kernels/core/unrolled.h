#pragma once

#include <type_traits>
#include <utility>

namespace longhaul::core {

/// body(0), …, body(N − 1) with constant arguments. A loop would leave small arrays in memory, and
/// the loop over channels around it scalar.
template <int N, class Body>
inline void unrolled(const Body& body) {
  [&]<int... I>(std::integer_sequence<int, I...>) { (body(std::integral_constant<int, I>{}), ...); }
  (std::make_integer_sequence<int, N>{});
}

}  // namespace longhaul::core
