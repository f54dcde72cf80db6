// Sizes and marks of the zip format (PKWARE's APPNOTE 6.3).
#pragma once

#include <cstdint>

namespace longhaul::model::zip {

inline constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEnd = 0x06054b50,
                          kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50;
inline constexpr uint64_t kLocalHeaderBytes = 30, kCentralHeaderBytes = 46, kEndBytes = 22,
                          kEnd64Bytes = 56, kEnd64LocatorBytes = 20, kLongestComment = 65535;
inline constexpr uint16_t kExtra64 = 1;         // id of the extra field with 64-bit numbers
inline constexpr uint32_t kIn64 = 0xffffffff;   // "look into the extra field"
inline constexpr uint16_t kShortIn64 = 0xffff;  // likewise, of 16 bits
inline constexpr uint16_t kEncrypted = 1, kUtf8 = 1 << 11;

}  // namespace longhaul::model::zip
