// Whether a job can run where its ranks are: a decision from what they found.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launch/environment/rank_facts.h"

namespace longhaul::launch {

struct EnvironmentNeeds {
  std::string folder;            ///< the run's
  int64_t checkpoint_bytes = 0;  ///< that must be free there; 0: no checkpoint is known of
  int64_t memory_bytes = 0;      ///< that a rank is planned to take of its host; 0: not known
  int64_t device_bytes = 0;      ///< the same of its device
  int64_t block_bytes = 0;       ///< of shared memory that a block of the device's threads takes
};

/// One line each, with ranks and host; ranks of a host that have the same to say share a line.
struct EnvironmentVerdict {
  std::vector<std::string> refusals;
  std::vector<std::string> warnings;
};

/// "has 20.0 GiB of memory left, its 2 ranks are planned to take 176.0 GiB"; "" where that fits or
/// `free_bytes` is not known (−1).
std::string memory_problem(int64_t free_bytes, int64_t ranks, int64_t bytes_of_rank);
/// The same of a rank's device.
std::string device_memory_problem(int64_t all_bytes, int64_t bytes_of_rank);

/// Refused: longhaul or MPI differ from rank 0's, a rank does not see rank 0's run folder, no space
/// for a checkpoint, a device that is too small or has too little shared memory. Warned of: clocks
/// more than a second apart (beyond the measurement's uncertainty), other devices or CUDA versions
/// than rank 0's, fewer cores than threads, less memory than planned, hardly any shared memory
/// where a host has several ranks. `facts` in rank order, not empty.
EnvironmentVerdict judge_environment(const std::vector<RankFacts>& facts,
                                     const EnvironmentNeeds& needs);

/// One row a host; ranks of a host that differ in what is shown get rows of their own. Of clocks
/// and free space a row has the worst.
std::string environment_table(const std::vector<RankFacts>& facts);

/// "ok", "2 warnings" or "refused".
std::string verdict_text(const EnvironmentVerdict& verdict);

/// "0-3,5": ranks (or other numbers) in rising order.
std::string number_ranges(const std::vector<int64_t>& numbers);

}  // namespace longhaul::launch
