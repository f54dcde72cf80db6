#include "dist/message_transport.h"

#include <glog/logging.h>

#include <algorithm>
#include <chrono>

namespace longhaul::dist {

bool Progress::advance_at(size_t place) {
  if (!active_[place]->advance()) return false;
  active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(place));
  return true;
}

void Progress::advance_all() {
  for (size_t i = 0; i < active_.size();) {
    if (!advance_at(i)) ++i;
  }
}

void Progress::advance_some() {
  constexpr size_t kSome = 16;
  for (size_t left = std::min(kSome, active_.size()); left > 0; --left) {
    if (next_ >= active_.size()) next_ = 0;
    if (active_.empty()) return;
    if (!advance_at(next_)) ++next_;
  }
}

void Progress::wait_for(Advancing& operation, const std::function<void()>& meanwhile) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  for (int64_t attempts = 0;; ++attempts) {
    const uint64_t seen = arrivals();
    advance_all();
    if (operation.advance()) break;
    if (meanwhile) meanwhile();
    idle({operation, seconds(), attempts, meanwhile != nullptr}, seen);
  }
  seconds_waited_ += seconds();
  finished_waiting();
}

void Progress::tell_that_it_goes_on(const Wait& wait, const std::string& busy_ranks) {
  LOG(WARNING) << wait.operation.description() << " has waited "
               << static_cast<int64_t>(wait.seconds) << " s and goes on: busy is " << busy_ranks;
}

}  // namespace longhaul::dist
