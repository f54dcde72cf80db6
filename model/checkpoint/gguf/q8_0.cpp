#include "model/checkpoint/gguf/q8_0.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/checkpoint/half.h"

namespace longhaul::model {

bool quantize_q8_0(const float* values, void* block) {
  float largest = 0;
  bool is_finite = true;
  for (int64_t i = 0; i < kQ8Elements; ++i) {
    is_finite = is_finite && std::isfinite(values[i]);
    largest = std::max(largest, std::fabs(values[i]));
  }
  const float scale = largest / 127;
  const Half stored = narrow_to_half(scale);
  if (!is_finite || std::isinf(widen(stored))) return false;
  float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  if (std::isinf(inverse)) inverse = 0;  // of magnitudes below 1e-36; their scale is stored as zero
  auto* bytes = static_cast<char*>(block);
  std::memcpy(bytes, &stored.bits, sizeof(stored.bits));
  for (int64_t i = 0; i < kQ8Elements; ++i) {
    bytes[2 + i] = static_cast<char>(static_cast<int8_t>(std::roundf(values[i] * inverse)));
  }
  return true;
}

void dequantize_q8_0(const void* block, float* values) {
  const auto* bytes = static_cast<const char*>(block);
  Half stored;
  std::memcpy(&stored.bits, bytes, sizeof(stored.bits));
  const float scale = widen(stored);
  for (int64_t i = 0; i < kQ8Elements; ++i) {
    values[i] = static_cast<float>(static_cast<int8_t>(bytes[2 + i])) * scale;
  }
}

}  // namespace longhaul::model
