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
  /// Calls do not come back before it is false again: of any communicator.
  std::atomic<bool> aborts_block{false}, sums_block{false};
};
NcclFaults& nccl_faults();
/// Communicators neither destroyed nor aborted.
int nccl_communicators();
/// Made so far of those that may take a few multiprocessors only, and of all.
struct NcclMade {
  int narrow = 0, all = 0;
};
NcclMade nccl_made();

}  // namespace longhaul::test
