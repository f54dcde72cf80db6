#pragma once

#include <algorithm>
#include <cstdint>

namespace longhaul::core {

/// Blocks into which sums over rows are cut on a device: at most 1024 of at least 16 rows.
inline int64_t device_row_blocks(int64_t rows) {
  return std::clamp<int64_t>((rows + 15) / 16, 1, 1024);
}

}  // namespace longhaul::core
