// ggml's Q8_0: blocks of 32 elements, each an fp16 scale and 32 signed bytes.
#pragma once

#include <cstdint>
#include <string>

namespace longhaul::model {

inline constexpr int64_t kQ8Elements = 32;
inline constexpr int64_t kQ8Bytes = 2 + kQ8Elements;

/// Quantises a block as ggml's reference does: scale = largest magnitude / 127 in fp32, elements
/// times 1/scale rounded half away from zero, the scale stored as fp16. False where a value is not
/// finite or the scale beyond fp16.
bool quantize_q8_0(const float* values, void* block);

void dequantize_q8_0(const void* block, float* values);

}  // namespace longhaul::model
