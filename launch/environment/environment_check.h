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
};

/// One line each, with ranks and host; ranks of a host that have the same to say share a line.
struct EnvironmentVerdict {
  std::vector<std::string> refusals;
  std::vector<std::string> warnings;
};

/// Refused: longhaul or MPI differ from rank 0's, a rank does not see rank 0's run folder, no space
/// for a checkpoint. Warned of: clocks more than a second apart (beyond the measurement's
/// uncertainty), other devices or CUDA versions than rank 0's, fewer cores than threads, hardly any
/// shared memory where a host has several ranks. `facts` in rank order, not empty.
EnvironmentVerdict judge_environment(const std::vector<RankFacts>& facts,
                                     const EnvironmentNeeds& needs);

/// One row a host; ranks of a host that differ in what is shown get rows of their own. Of clocks
/// and free space a row has the worst.
std::string environment_table(const std::vector<RankFacts>& facts);

/// "ok", "2 warnings" or "refused", then the warnings, a line each.
std::string verdict_text(const EnvironmentVerdict& verdict);

/// "0-3,5": ranks (or other numbers) in rising order.
std::string number_ranges(const std::vector<int64_t>& numbers);

}  // namespace longhaul::launch
