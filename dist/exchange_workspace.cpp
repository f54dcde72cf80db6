#include "dist/exchange_workspace.h"

namespace longhaul::dist {

namespace {

std::vector<int64_t> all_gather(const ExchangeExtents& e, int64_t element) {
  std::vector<int64_t> bytes{e.ranks * e.log_decays * element, e.ranks * e.elements * element};
  if (e.position == 0 && e.boundary) bytes.push_back(e.elements * element);
  return bytes;
}

std::vector<int64_t> chain(const ExchangeExtents& e, int64_t element) {
  if (e.position + 1 == e.ranks) return {};
  return {e.elements * element};
}

std::vector<int64_t> log_step(const ExchangeExtents& e, int64_t element) {
  const int64_t map = (e.log_decays + e.elements) * element;
  std::vector<int64_t> bytes{e.log_decays * element};
  for (int d = 1; d <= e.position; d *= 2) bytes.push_back(map);
  if (e.position + 1 < e.ranks) bytes.push_back(map);
  return bytes;
}

}  // namespace

std::vector<int64_t> exchange_workspace(const ExchangeExtents& extents) {
  if (extents.ranks == 1) return {};
  const int64_t element = core::size_of(extents.dtype);
  switch (extents.algorithm) {
    case ExchangeAlgorithm::kChain:
      return chain(extents, element);
    case ExchangeAlgorithm::kLogStep:
      return log_step(extents, element);
    default:
      return all_gather(extents, element);
  }
}

std::vector<int64_t> halo_workspace(int ranks, int rank, int64_t bytes) {
  if (rank + 1 == ranks) return {};
  return {bytes};
}

}  // namespace longhaul::dist
