#include "model/checkpoint/element_conversion.h"

#include <glog/logging.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/core/error.h"
#include "model/checkpoint/half.h"
#include "model/checkpoint/safetensors_header.h"

namespace longhaul::model {

static_assert(std::endian::native == std::endian::little, "stored elements are little-endian");

namespace {

using core::BFloat16;
using core::DType;

template <class T>
T load(const void* elements, int64_t i) {
  T value;
  std::memcpy(&value, static_cast<const char*>(elements) + i * static_cast<int64_t>(sizeof(T)),
              sizeof(T));
  return value;
}

template <class T>
void put(void* elements, int64_t i, T value) {
  std::memcpy(static_cast<char*>(elements) + i * static_cast<int64_t>(sizeof(T)), &value,
              sizeof(T));
}

template <class T>
constexpr bool kIsInteger = std::is_integral_v<T>;

template <class From>
auto widened(From value) {  // to the float or double of the same value
  if constexpr (std::is_same_v<From, Half>) {
    return widen(value);
  } else if constexpr (std::is_same_v<From, BFloat16>) {
    return static_cast<float>(value);
  } else {
    return value;
  }
}

template <class To, class From>
To rounded(From value) {
  const auto wide = widened(value);
  if constexpr (std::is_same_v<To, Half> || std::is_same_v<To, BFloat16>) {
    float narrow;
    if constexpr (std::is_same_v<decltype(wide), const double>) {
      narrow = round_to_odd(wide);
    } else {
      narrow = wide;
    }
    if constexpr (std::is_same_v<To, Half>) {
      return narrow_to_half(narrow);
    } else {
      return BFloat16(narrow);
    }
  } else {
    return static_cast<To>(wide);
  }
}

template <class From, class To>
std::string convert(const void* source, int64_t first, int64_t count, void* target) {
  if constexpr (std::is_same_v<From, To>) {
    if (count > 0) std::memcpy(target, source, static_cast<size_t>(count) * sizeof(To));
  } else if constexpr (kIsInteger<From> != kIsInteger<To>) {
    LOG(FATAL) << "integers and floats are not converted into each other";
  } else if constexpr (kIsInteger<From>) {
    for (int64_t i = 0; i < count; ++i) {
      const From value = load<From>(source, i);
      if (!std::in_range<To>(value)) {
        return core::message("element ", first + i, " is ", value, ", which int32 cannot hold");
      }
      put(target, i, static_cast<To>(value));
    }
  } else {
    bool overflow = false;
    for (int64_t i = 0; i < count; ++i) {
      const From value = load<From>(source, i);
      const To result = rounded<To>(value);
      overflow |= std::isinf(widened(result)) && !std::isinf(widened(value));
      put(target, i, result);
    }
    for (int64_t i = 0; overflow && i < count; ++i) {
      const auto value = widened(load<From>(source, i));
      if (!std::isinf(value) && std::isinf(widened(rounded<To>(load<From>(source, i))))) {
        return core::message("element ", first + i, " is ", value, ", beyond the largest number");
      }
    }
  }
  return "";
}

template <class Visit>
std::string with_stored(StoredType type, const Visit& visit) {
  switch (type) {
    case StoredType::kF64:
      return visit(double{});
    case StoredType::kF32:
      return visit(float{});
    case StoredType::kF16:
      return visit(Half{});
    case StoredType::kBF16:
      return visit(BFloat16{});
    case StoredType::kI64:
      return visit(int64_t{});
    case StoredType::kI32:
      return visit(int32_t{});
  }
  LOG(FATAL) << "no such stored type";
}

template <class Visit>
std::string with_memory(DType dtype, const Visit& visit) {
  switch (dtype) {
    case DType::kF64:
      return visit(double{});
    case DType::kF32:
      return visit(float{});
    case DType::kBF16:
      return visit(BFloat16{});
    case DType::kI32:
      return visit(int32_t{});
  }
  LOG(FATAL) << "no such element type";
}

bool is_integer(StoredType type) { return type == StoredType::kI64 || type == StoredType::kI32; }

}  // namespace

bool can_read(StoredType stored, DType memory) {
  return is_integer(stored) == (memory == DType::kI32);
}

bool can_store(DType memory, StoredType stored) { return can_read(stored, memory); }

std::string read_elements(const void* source, StoredType stored, int64_t first, int64_t count,
                          void* target, DType memory) {
  return with_stored(stored, [&](auto from) {
    return with_memory(memory, [&](auto to) {
      return convert<decltype(from), decltype(to)>(source, first, count, target);
    });
  });
}

std::string store_elements(const void* source, DType memory, int64_t first, int64_t count,
                           void* target, StoredType stored) {
  return with_memory(memory, [&](auto from) {
    return with_stored(stored, [&](auto to) {
      const std::string problem =
          convert<decltype(from), decltype(to)>(source, first, count, target);
      return problem.empty() ? problem : core::message(problem, " that ", name_of(stored), " has");
    });
  });
}

int64_t count_not_finite(const void* elements, StoredType type, int64_t count) {
  int64_t found = 0;
  with_stored(type, [&](auto kind) {
    using Element = decltype(kind);
    if constexpr (!kIsInteger<Element>) {
      for (int64_t i = 0; i < count; ++i) {
        found += !std::isfinite(widened(load<Element>(elements, i)));
      }
    }
    return std::string();
  });
  return found;
}

std::string convert_elements(const void* source, StoredType from, int64_t first, int64_t count,
                             void* target, StoredType to) {
  return with_stored(from, [&](auto in) {
    return with_stored(to, [&](auto out) {
      const std::string problem =
          convert<decltype(in), decltype(out)>(source, first, count, target);
      return problem.empty() ? problem : core::message(problem, " that ", name_of(to), " has");
    });
  });
}

}  // namespace longhaul::model
