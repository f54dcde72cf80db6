// Little-endian numbers in bytes of unknown origin.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace longhaul::model {

/// The number at `at`, which must lie within `bytes` whole.
template <class T>
T number_at(std::string_view bytes, uint64_t at) {
  static_assert(std::is_arithmetic_v<T>);
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

template <class T>
void append_number(std::string& bytes, T value) {
  static_assert(std::is_arithmetic_v<T>);
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

}  // namespace longhaul::model
