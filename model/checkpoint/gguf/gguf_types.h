// Numbers that GGUF's files use.
#pragma once

#include <cstdint>

namespace longhaul::model {

inline constexpr uint32_t kGgufMagic = 0x46554747;  // "GGUF"
inline constexpr uint32_t kGgufVersion = 3;
inline constexpr uint32_t kGgufAlignment = 32;  ///< where general.alignment says nothing else
inline constexpr uint64_t kLongestGgufName = 63;

enum class GgufValueType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

/// Of tensors: those that are read and written here.
enum class GgufTensorType : uint32_t { kF32 = 0, kF16 = 1, kQ8 = 8, kBF16 = 30 };
/// "F32"
const char* name_of(GgufTensorType type);
/// Elements that are stored together, and their bytes.
uint64_t block_elements(GgufTensorType type);
uint64_t block_bytes(GgufTensorType type);

}  // namespace longhaul::model
