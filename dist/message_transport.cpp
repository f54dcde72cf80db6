#include "dist/message_transport.h"

#include <chrono>

namespace longhaul::dist {

void Progress::advance_all() {
  for (size_t i = 0; i < active_.size();) {
    if (active_[i]->advance()) {
      active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

void Progress::wait_for(Advancing& operation) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  for (int64_t attempts = 0;; ++attempts) {
    const uint64_t seen = arrivals();
    advance_all();
    if (operation.advance()) break;
    idle({operation, std::chrono::duration<double>(Clock::now() - begin).count(), attempts}, seen);
  }
  finished_waiting();
}

}  // namespace longhaul::dist
