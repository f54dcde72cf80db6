// NCCL among threads of one process, on fake streams: non-blocking communicators whose operations
// meet in order of their issue, as NCCL's do, and faults on demand.
#pragma once

#include <atomic>

namespace longhaul::test {

/// Ranks are those of communicators over as many ranks as `size`; −1: nobody.
struct NcclFaults {
  std::atomic<int> size{0};
  std::atomic<int> hangs{-1};       ///< its collectives never arrive
  std::atomic<int> loses_peer{-1};  ///< sees ncclRemoteError
};
NcclFaults& nccl_faults();
/// Communicators neither destroyed nor aborted.
int nccl_communicators();

}  // namespace longhaul::test
