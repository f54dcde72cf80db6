// Against arithmetic in double: every 16-bit value, and both sides of every midpoint between two.
#include "model/checkpoint/element_conversion.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace longhaul::model {
namespace {

using core::DType;

/// A 16-bit float's value from its definition.
double value_of(uint16_t bits, int exponent_bits) {
  const int mantissa_bits = 15 - exponent_bits;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits & 0x7fff) >> mantissa_bits;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  double value;
  if (exponent == (1 << exponent_bits) - 1) {
    value = mantissa == 0 ? std::numeric_limits<double>::infinity() : std::nan("");
  } else if (exponent == 0) {
    value = std::ldexp(mantissa, 1 - bias - mantissa_bits);
  } else {
    value = std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
  }
  return bits & 0x8000 ? -value : value;
}

struct Narrow {
  const char* name;
  StoredType type;
  int exponent_bits;
};

class NarrowType : public ::testing::TestWithParam<Narrow> {
 protected:
  double exact(uint16_t bits) const { return value_of(bits, GetParam().exponent_bits); }
  uint16_t largest() const {
    return static_cast<uint16_t>(
        (((1 << GetParam().exponent_bits) - 1) << (15 - GetParam().exponent_bits)) - 1);
  }
  template <class T>
  uint16_t stored(T value) const {
    uint16_t bits = 0;
    const DType memory = core::kDTypeOf<T>;
    store_elements(&value, memory, 0, 1, &bits, GetParam().type);
    return bits;
  }
};

TEST_P(NarrowType, EveryValueWidensExactlyAndComesBack) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const auto narrow = static_cast<uint16_t>(bits);
    float as_float = 0;
    double as_double = 0;
    read_elements(&narrow, GetParam().type, 0, 1, &as_float, DType::kF32);
    read_elements(&narrow, GetParam().type, 0, 1, &as_double, DType::kF64);
    if (std::isnan(exact(narrow))) {
      ASSERT_TRUE(std::isnan(as_float) && std::isnan(as_double)) << bits;
      ASSERT_TRUE(std::isnan(exact(stored(as_float)))) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(as_float), exact(narrow)) << bits;
    ASSERT_EQ(as_double, exact(narrow)) << bits;
    ASSERT_EQ(std::signbit(as_float), std::signbit(exact(narrow))) << bits;
    ASSERT_EQ(stored(as_float), narrow);
    ASSERT_EQ(stored(as_double), narrow);
  }
}

TEST_P(NarrowType, RoundsToNearestEvenOnce) {
  for (uint16_t low = 0; low < largest(); ++low) {
    const auto high = static_cast<uint16_t>(low + 1);
    const auto even = low % 2 == 0 ? low : high;
    const double middle = (exact(low) + exact(high)) / 2;
    ASSERT_EQ(stored(middle), even);
    ASSERT_EQ(stored(-middle), even | 0x8000);
    // One unit of double off the middle: rounding by way of float would lose it.
    ASSERT_EQ(stored(std::nextafter(middle, 0.0)), low);
    ASSERT_EQ(stored(std::nextafter(middle, 1e300)), high);
    const auto as_float = static_cast<float>(middle);
    if (static_cast<double>(as_float) != middle) continue;  // bf16's smallest
    ASSERT_EQ(stored(as_float), even);
    ASSERT_EQ(stored(std::nextafter(as_float, 0.0f)), low);
    ASSERT_EQ(stored(std::nextafter(as_float, std::numeric_limits<float>::max())), high);
  }
}

TEST_P(NarrowType, ReportsFiniteValuesThatBecomeInfinite) {
  const double unit = exact(largest()) - exact(static_cast<uint16_t>(largest() - 1));
  const double limit = exact(largest()) + unit / 2;  // rounds to even: up, out of range
  std::vector<double> values = {1, std::nextafter(limit, 0.0),
                                std::numeric_limits<double>::infinity()};
  std::vector<uint16_t> bits(values.size());
  const auto store = [&] {
    return store_elements(values.data(), DType::kF64, 10, static_cast<int64_t>(values.size()),
                          bits.data(), GetParam().type);
  };
  EXPECT_EQ(store(), "");
  EXPECT_EQ(bits[1], largest());
  values[1] = -limit;
  EXPECT_NE(store().find("element 11 is -"), std::string::npos) << store();
}

INSTANTIATE_TEST_SUITE_P(Types, NarrowType,
                         ::testing::Values(Narrow{"F16", StoredType::kF16, 5},
                                           Narrow{"BF16", StoredType::kBF16, 8}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(ElementConversion, KnowsWhatItCannotDo) {
  EXPECT_TRUE(can_read(StoredType::kF64, DType::kBF16));
  EXPECT_TRUE(can_read(StoredType::kI64, DType::kI32));
  EXPECT_FALSE(can_read(StoredType::kI32, DType::kF32));
  EXPECT_FALSE(can_read(StoredType::kF16, DType::kI32));
  EXPECT_FALSE(can_store(DType::kI32, StoredType::kF32));
}

TEST(ElementConversion, ReadsUnalignedElements) {
  std::vector<char> bytes(1 + 8 * 3);
  const std::vector<double> values = {1.25, -2, 1e10};
  std::memcpy(bytes.data() + 1, values.data(), 24);
  std::vector<float> read(3);
  EXPECT_EQ(read_elements(bytes.data() + 1, StoredType::kF64, 0, 3, read.data(), DType::kF32), "");
  EXPECT_EQ(read, (std::vector<float>{1.25f, -2.0f, 1e10f}));
}

TEST(ElementConversion, DoubleBeyondFloatIsReported) {
  const double value = 1e39;
  float read = 0;
  EXPECT_NE(read_elements(&value, StoredType::kF64, 0, 1, &read, DType::kF32), "");
}

TEST(ElementConversion, CountsWhatIsNotFinite) {
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<double> values = {1, -infinity, 0, std::nan(""), 60000, infinity};
  for (const auto type :
       {StoredType::kF64, StoredType::kF32, StoredType::kF16, StoredType::kBF16}) {
    std::vector<char> stored(1 + 8 * values.size());
    ASSERT_EQ(
        store_elements(values.data(), DType::kF64, 0, std::ssize(values), stored.data() + 1, type),
        "");
    EXPECT_EQ(count_not_finite(stored.data() + 1, type, std::ssize(values)), 3);
    EXPECT_EQ(count_not_finite(stored.data() + 1, type, 2), 1);
  }
  const std::vector<int64_t> whole(3, -1);
  EXPECT_EQ(count_not_finite(whole.data(), StoredType::kI64, 3), 0);
}

}  // namespace
}  // namespace longhaul::model
