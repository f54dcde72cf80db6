#include "trainer/all_ranks.h"

#include <string>

#include "kernels/core/error.h"

namespace longhaul::trainer {

void on_all_ranks(dist::Communicator& world, const std::function<void()>& work) {
  std::string problem;  // the kind of the failure, then its message
  try {
    work();
  } catch (const core::InputError& error) {
    problem = std::string("I") + error.what();
  } catch (const std::exception& error) {
    problem = std::string("E") + error.what();
  }
  const int64_t ranks = world.size();
  const double found = world.max(problem.empty() ? 0.0 : static_cast<double>(ranks - world.rank()));
  if (found == 0) return;
  problem = world.broadcast_bytes(problem, static_cast<int>(ranks - static_cast<int64_t>(found)));
  if (problem.front() == 'I') throw core::InputError(problem.substr(1));
  throw core::Error(problem.substr(1));
}

}  // namespace longhaul::trainer
