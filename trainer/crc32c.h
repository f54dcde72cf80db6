#pragma once

#include <cstddef>
#include <cstdint>

namespace longhaul::trainer {

/// CRC-32C (Castagnoli), as in TFRecord; the checksum of "123456789" is 0xE3069283.
/// `before`: the checksum of the bytes that come before these.
uint32_t crc32c(const void* bytes, size_t count, uint32_t before = 0);

}  // namespace longhaul::trainer
