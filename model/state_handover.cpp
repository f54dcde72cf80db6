#include "model/state_handover.h"

#include <vector>

namespace longhaul::model {

void hand_to_first_rank(dist::Communicator& group, const RecurrentState& state) {
  const int last = group.size() - 1;
  if (last == 0) return;
  std::vector<dist::Transfer> sends, receives;
  for (size_t i = 0; i < state.size(); ++i) {
    if (group.rank() == last) sends.push_back({state[i], 0});
    if (group.rank() == 0) receives.push_back({state[i], last});
  }
  group.start_transfers(sends, receives)->wait();
}

}  // namespace longhaul::model
