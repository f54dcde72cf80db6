#include "trainer/crc32c.h"

#include <array>
#include <bit>
#include <cstring>

namespace longhaul::trainer {

namespace {

static_assert(std::endian::native == std::endian::little);

using Tables = std::array<std::array<uint32_t, 256>, 8>;

/// tables[k][b]: what byte b does to the checksum when k more bytes follow it, so that eight bytes
/// are taken at once.
constexpr Tables make_tables() {
  constexpr uint32_t kPolynomial = 0x82F63B78;  // reflected
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr Tables kTables = make_tables();

}  // namespace

uint32_t crc32c(const void* bytes, size_t count, uint32_t before) {
  const auto* next = static_cast<const unsigned char*>(bytes);
  uint32_t crc = ~before;
  for (; count >= 8; count -= 8, next += 8) {
    uint64_t word = 0;
    std::memcpy(&word, next, 8);
    word ^= crc;
    crc = 0;
    for (size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; count > 0; --count, ++next) crc = (crc >> 8) ^ kTables[0][(crc ^ *next) & 0xff];
  return ~crc;
}

}  // namespace longhaul::trainer
