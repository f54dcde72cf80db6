#include "dist/all_ranks.h"

#include <algorithm>
#include <new>
#include <string>

#include "kernels/core/error.h"
#include "kernels/core/host_name.h"

namespace longhaul::dist {

namespace {

/// Where it happened: everybody is going to tell it.
std::string place(const Communicator& world) {
  if (world.size() == 1) return "";
  return core::message("rank ", world.rank(), " (host ", core::host_name(), "): ");
}

}  // namespace

void on_all_ranks(Communicator& world, const std::string& what, const std::function<void()>& work) {
  std::string problem;  // the kind of the failure, then its message
  try {
    const Busy busy(world, what);
    work();
  } catch (const core::InputError& error) {
    problem = std::string("I") + error.what();
  } catch (const std::bad_alloc&) {
    problem = "E" + place(world) + "out of memory";
  } catch (const std::exception& error) {
    problem = "E" + place(world) + error.what();
  }
  const int64_t ranks = world.size();
  const double found = world.max(problem.empty() ? 0.0 : static_cast<double>(ranks - world.rank()));
  if (found == 0) return;
  problem = world.broadcast_bytes(problem, static_cast<int>(ranks - static_cast<int64_t>(found)));
  if (problem.front() == 'I') throw core::InputError(problem.substr(1));
  throw core::Error(problem.substr(1));
}

void share_first(Communicator& world, const core::TensorView& tensor) {
  constexpr int64_t kElements = int64_t{1} << 26;
  const core::TensorView flat = tensor.reshape({tensor.elements()});
  for (int64_t begin = 0; begin < flat.elements(); begin += kElements) {
    world.broadcast(flat.slice(0, begin, std::min(begin + kElements, flat.elements())), 0);
  }
}

}  // namespace longhaul::dist
