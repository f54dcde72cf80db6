#include "dist/thread_world.h"

#include <chrono>
#include <utility>

namespace longhaul::dist {

ThreadWorld::ThreadWorld(int ranks, double time_limit_s)
    : mailboxes_(static_cast<size_t>(ranks)),
      time_limit_s_(time_limit_s),
      waiting_(mailboxes_.size()),
      busy_(mailboxes_.size()),
      doing_(mailboxes_.size()) {}

void ThreadWorld::deliver(int rank, const Address& address, Bytes bytes) {
  Mailbox& box = mailboxes_[static_cast<size_t>(rank)];
  const std::lock_guard lock(box.mutex);
  Line& line = box.lines[address];
  line.messages.emplace(line.delivered++, std::move(bytes));
  ++box.arrivals;
  box.arrived.notify_one();
}

int64_t ThreadWorld::expect(int rank, const Address& address) {
  Mailbox& box = mailboxes_[static_cast<size_t>(rank)];
  const std::lock_guard lock(box.mutex);
  return box.lines[address].expected++;
}

std::optional<ThreadWorld::Bytes> ThreadWorld::take(int rank, const Address& address,
                                                    int64_t place) {
  {
    Mailbox& box = mailboxes_[static_cast<size_t>(rank)];
    const std::lock_guard lock(box.mutex);
    const auto found = box.lines.find(address);
    Line& line = found->second;
    auto message = line.messages.extract(place);
    if (message) {
      // A line that owes nothing to anybody may begin again at 0.
      if (line.messages.empty() && line.expected == line.delivered) box.lines.erase(found);
      return std::move(message.mapped());
    }
  }
  if (failed()) throw ReleasedError(failure());
  return std::nullopt;
}

uint64_t ThreadWorld::arrivals(int rank) {
  Mailbox& box = mailboxes_[static_cast<size_t>(rank)];
  const std::lock_guard lock(box.mutex);
  return box.arrivals;
}

void ThreadWorld::wait_for_arrival(int rank, uint64_t arrivals_seen, double seconds) {
  Mailbox& box = mailboxes_[static_cast<size_t>(rank)];
  std::unique_lock lock(box.mutex);
  box.arrived.wait_for(lock, std::chrono::duration<double>(seconds),
                       [&] { return box.arrivals != arrivals_seen; });
}

int64_t ThreadWorld::context_of(int64_t parent, int64_t split, int part) {
  const std::lock_guard lock(mutex_);
  const auto next = static_cast<int64_t>(contexts_.size()) + 1;  // 0 is the world
  return contexts_.try_emplace({parent, split, part}, next).first->second;
}

void ThreadWorld::fail(const std::string& reason) {
  {
    const std::lock_guard lock(mutex_);
    if (failed_) return;
    failed_ = true;
    failure_ = reason;
  }
  for (Mailbox& box : mailboxes_) {
    const std::lock_guard lock(box.mutex);
    ++box.arrivals;
    box.arrived.notify_one();
  }
}

bool ThreadWorld::failed() const {
  const std::lock_guard lock(mutex_);
  return failed_;
}

std::string ThreadWorld::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void ThreadWorld::set_waiting(int rank, const std::string& operation) {
  const std::lock_guard lock(mutex_);
  waiting_[static_cast<size_t>(rank)] = operation;
}

void ThreadWorld::set_busy(int rank, const std::string& what) {
  const std::lock_guard lock(mutex_);
  busy_[static_cast<size_t>(rank)] = what;
}

void ThreadWorld::set_doing(int rank, const Doing& doing) {
  const std::lock_guard lock(mutex_);
  doing_[static_cast<size_t>(rank)] = doing;
}

void ThreadWorld::forget_doing(int asking) {
  const std::lock_guard lock(mutex_);
  for (int r = 0; r < ranks(); ++r) {
    if (r != asking) doing_[static_cast<size_t>(r)] = {};
  }
}

std::string ThreadWorld::busy_ranks() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (size_t r = 0; r < busy_.size(); ++r) {
    if (!waiting_[r].empty() || doing_[r].waits) continue;
    if (busy_[r].empty() && !doing_[r].what.empty()) continue;
    if (busy_[r].empty()) return "";
    text += core::message(text.empty() ? "rank " : ", rank ", r, ": ", busy_[r]);
  }
  return text;
}

std::string ThreadWorld::missing_ranks(int asking) const {
  const std::lock_guard lock(mutex_);
  std::string missing, waiting;
  for (int r = 0; r < ranks(); ++r) {
    if (r == asking) continue;
    const std::string& message = waiting_[static_cast<size_t>(r)];
    const std::string& operation = message.empty() ? doing_[static_cast<size_t>(r)].what : message;
    if (operation.empty() && busy_[static_cast<size_t>(r)].empty()) {
      missing += core::message(missing.empty() ? "no answer from rank " : ", ", r);
    } else if (!operation.empty()) {
      waiting += core::message(waiting.empty() ? "" : "; ", "rank ", r, " waits in ", operation);
    }
  }
  return missing.empty() ? waiting : missing;
}

}  // namespace longhaul::dist
