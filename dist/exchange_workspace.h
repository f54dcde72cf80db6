// What exchanges take from the pool while they are under way: one entry an allocation, in bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "dist/state_exchange.h"
#include "kernels/core/dtype.h"

namespace longhaul::dist {

struct ExchangeExtents {
  ExchangeAlgorithm algorithm = ExchangeAlgorithm::kAllGather;  ///< automatic: as all_gather
  int ranks = 1;
  int position = 0;       ///< counted in the direction of flow
  bool boundary = false;  ///< something enters at position 0
  int64_t log_decays = 0, elements = 0;
  core::DType dtype = core::DType::kF32;
};
std::vector<int64_t> exchange_workspace(const ExchangeExtents& extents);

/// Of a halo of `bytes` on rank `rank`: what goes out forward, what comes in backward. Segments are
/// no shorter than the halo.
std::vector<int64_t> halo_workspace(int ranks, int rank, int64_t bytes);

}  // namespace longhaul::dist
