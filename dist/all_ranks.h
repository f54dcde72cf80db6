#pragma once

#include <functional>
#include <string>

#include "dist/communicator.h"

namespace longhaul::dist {

/// Runs `work` on this rank. If it throws on any rank, every rank throws what the first of them
/// threw (same message, with rank and host before it where it is no InputError; that stays one), so
/// that none goes on alone. Collective, but `work` must not be; it may take as long as it likes
/// (Busy with `what`).
void on_all_ranks(Communicator& world, const std::string& what, const std::function<void()>& work);

/// A broadcast from the first rank, piece by piece: none of them is to take longer than the ranks'
/// time limit, however large the tensor. Contiguous. Collective.
void share_first(Communicator& world, const core::TensorView& tensor);

}  // namespace longhaul::dist
