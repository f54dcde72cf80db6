// The watchdog's part of NcclEngine: a thread that sees what the rank itself, inside a kernel or a
// call that does not come back, cannot.
#include <glog/logging.h>
#include <nccl.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

#include "dist/nccl_engine.h"
#include "kernels/core/error.h"

namespace longhaul::dist {

namespace {

using Clock = NcclOperation::Clock;
using Stage = NcclOperation::Stage;

constexpr std::chrono::milliseconds kTick{20};
constexpr double kAnswerSeconds = 0.1;  // between two answers to other ranks
constexpr double kUnwindingGraces = 4;  // for a failure that this rank has noticed

/// False once it is to stop.
bool sleep_a_tick(const std::stop_token& stop) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_for(lock, stop, kTick, [] { return false; });
  return !stop.stop_requested();
}

/// Or not at all. (ThreadSanitizer does not know the locks with a limit.)
std::unique_lock<std::mutex> lock_within_a_tick(std::mutex& mutex) {
  std::unique_lock lock(mutex, std::defer_lock);
  for (const auto start = Clock::now(); !lock.try_lock() && Clock::now() - start < kTick;) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return lock;
}

}  // namespace

void NcclEngine::watch(const std::stop_token& stop) {
  try {
    runtime_->use_on_this_thread();
  } catch (const core::Error& error) {
    return end_job(core::message("rank ", world_rank_, ": ", error.what()));
  }
  auto last_look = Clock::now(), last_answer = last_look;
  while (sleep_a_tick(stop)) {
    std::string overdue;
    auto lock = lock_within_a_tick(mutex_);
    if (!lock.owns_lock()) {
      const double limit = time_limit_s_;
      if (seconds_since(last_look) > limit + options_.grace_s) {
        end_job(core::message("rank ", world_rank_,
                              ": a call to CUDA or NCCL did not come back within ", limit, " s"));
      }
      continue;
    }
    last_look = Clock::now();
    if (failed_) {
      const double grace = options_.grace_s * (noticed_ ? kUnwindingGraces : 1);
      const std::string failure = failure_;
      const bool is_over = seconds_since(failed_at_) > grace;
      lock.unlock();
      if (is_over) end_job(failure);
      continue;
    }
    try {
      overdue = check_operations();
    } catch (const core::Error& error) {  // the device itself
      fail_locked(error.what());
    }
    const Doing doing_now = doing();
    lock.unlock();
    if (liveness_ != nullptr && seconds_since(last_answer) > kAnswerSeconds) {
      last_answer = Clock::now();
      liveness_->answer(doing_now.what, doing_now.waits);
    }
    look_for_the_others(overdue, doing_now);
  }
  if (liveness_ != nullptr) liveness_->answer("the end", false);
}

NcclEngine::Doing NcclEngine::doing() const {
  const NcclOperation* operation = oldest();
  if (operation == nullptr) return {.what = "its own work, nothing under way over NCCL"};
  const bool waits = operation->others_due;
  return {.what = core::message(operation->description, " (operation ", operation->number,
                                " over NCCL", waits ? ")" : ", whose data are still to come)"),
          .waits = waits};
}

std::string NcclEngine::check_operations() {
  for (const auto& channel : channels_) {
    const int code = channel->error();
    if (code == ncclSuccess || code == ncclInProgress) continue;
    fail_locked(channel->problem(code));
    return "";
  }
  for (auto each = operations_.begin(); each != operations_.end();) {
    NcclOperation& operation = *each++;
    operation.over = operation.over ||
                     (operation.stage == Stage::kLaunched && runtime_->is_complete(operation.done));
    if (operation.over) {
      if (!operation.forgotten) continue;
      free_events_.insert(free_events_.end(), {operation.ready, operation.done});
      operations_.erase(std::prev(each));
      continue;
    }
    // Its rank waits for it, or does not yet.
    if (operation.stage == Stage::kWaiting && !operation.awaited) continue;
    if (!operation.others_due && (operation.awaited || runtime_->is_complete(operation.ready))) {
      operation.others_due = true;
      operation.due_since = Clock::now();
    }
    const double limit = time_limit_s_;
    if (operation.others_due && seconds_since(operation.due_since) > limit) {
      return core::message(operation.description, " did not finish within ", limit, " s");
    }
  }
  return "";
}

/// Once the limit has passed: asks who is still there. Goes on where one is Busy.
void NcclEngine::look_for_the_others(const std::string& overdue, const Doing& doing_now) {
  if (overdue.empty()) {
    if (asked_at_) static_cast<void>(liveness_->findings());
    asked_at_.reset();
    overdue_since_.reset();
    return;
  }
  if (liveness_ == nullptr) return fail(overdue);
  if (!overdue_since_) overdue_since_ = Clock::now();
  if (!asked_at_) {
    if (seconds_since(*overdue_since_) < liveness_->turn_s()) return;
    asked_at_ = Clock::now();
    return liveness_->ask(doing_now.what);
  }
  if (seconds_since(*asked_at_) < std::min<double>(liveness_->grace_s(), time_limit_s_)) return;
  asked_at_.reset();
  const std::optional<Liveness::Findings> found = liveness_->findings();
  if (!found) return;  // asked again
  if (found->busy.empty()) return fail(overdue + "; " + found->text);
  if (!found->others_tell) LOG(WARNING) << overdue << " and goes on: busy is " << found->busy;
  restart_limits();
}

void NcclEngine::restart_limits() {
  const std::lock_guard lock(mutex_);
  for (NcclOperation& operation : operations_) operation.due_since = Clock::now();
}

void NcclEngine::end_job(const std::string& failure) {
  if (std::exchange(has_ended_job_, true)) return;
  std::fprintf(stderr, "longhaul: %s\n", failure.c_str());
  options_.end_job ? options_.end_job(failure) : std::abort();
}

}  // namespace longhaul::dist
