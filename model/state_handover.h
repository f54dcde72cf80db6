#pragma once

#include "dist/communicator.h"
#include "model/recurrent_state.h"

namespace longhaul::model {

/// What the last rank of a sequence group has in `state` is then there on the first, which goes on
/// from it; other ranks keep theirs. Collective.
void hand_to_first_rank(dist::Communicator& group, const RecurrentState& state);

}  // namespace longhaul::model
