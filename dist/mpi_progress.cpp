#include "dist/mpi_progress.h"

#include <glog/logging.h>
#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

#include "dist/launcher_end.h"

namespace longhaul::dist {

namespace {

constexpr int kSpins = 64;
constexpr double kYieldSeconds = 1e-3;
constexpr double kAnswerSeconds = 0.1;
// Once the limit has passed. Everybody that answers does so within tenths of a second; one rank
// takes some microseconds for each answer.
constexpr double kGraceSeconds = 5, kGraceSecondsOfARank = 1.0 / 256;
// Rank r asks this times log₂(1 + r) of the grace after its limit: the lowest one that waits is
// first, and soon enough that few ask beside it.
constexpr double kTurn = 0.2;

}  // namespace

MpiProgress::MpiProgress(double time_limit_s) : time_limit_s_(time_limit_s) {
  char name[MPI_MAX_PROCESSOR_NAME] = {};
  int length = 0;
  MPI_Get_processor_name(name, &length);
  host_ = name;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
}

void MpiProgress::begin_busy(const std::string& what) {
  const std::lock_guard lock(mpi_);
  busy_.push_back(what + at_activity());
  if (busy_.size() > 1) return;
  try {
    answering_ = std::jthread([this](const std::stop_token& stop) { answer_while_busy(stop); });
  } catch (const std::exception& error) {  // no thread, no memory: then the time limit counts
    LOG(WARNING) << "no thread to answer other ranks: " << error.what();
  }
}

void MpiProgress::end_busy() {
  {
    const std::lock_guard lock(mpi_);
    busy_.pop_back();
    if (!busy_.empty()) return;
    answering_.request_stop();
  }
  if (answering_.joinable()) answering_.join();
}

void MpiProgress::set_activity(const std::string& activity) {
  const std::lock_guard lock(mpi_);
  activity_ = activity;
}

/// Not while another thread is inside MPI: a split, which waits for others, or a wait that answers.
void MpiProgress::answer(const std::string& doing, bool waits) {
  {
    const std::lock_guard lock(elsewhere_mutex_);
    waits_elsewhere_ = waits ? doing : "";
  }
  const std::unique_lock lock(mpi_, std::try_to_lock);
  if (lock.owns_lock() && !waits_) answer_locked(doing);
}

void MpiProgress::answer_locked(const std::string& doing) {
  const std::lock_guard lock(elsewhere_mutex_);
  const bool is_busy = !busy_.empty() && waits_elsewhere_.empty();
  const std::string& waits_in = waits_elsewhere_.empty() ? doing : waits_elsewhere_;
  liveness_.answer_questions(
      {.text = is_busy ? busy_.back() : waits_in + at_activity(), .busy = is_busy});
}

double MpiProgress::turn_s() const {
  return kTurn * std::min(kGraceSeconds, time_limit_s_.load()) * std::log2(1.0 + rank_);
}

double MpiProgress::grace_s() const {
  return std::min(kGraceSeconds + kGraceSecondsOfARank * liveness_.size(), time_limit_s_.load());
}

bool MpiProgress::another_asks() const {
  const std::optional<double> since = liveness_.seconds_since_asked();
  return since && *since < 2 * grace_s() + turn_s();
}

void MpiProgress::ask(const std::string& doing) {
  const std::lock_guard lock(mpi_);
  static_cast<void>(liveness_.was_told_that_it_goes_on());  // earlier
  if (!liveness_.asking() && !another_asks()) liveness_.ask(doing + at_activity());
}

std::optional<Liveness::Findings> MpiProgress::findings() {
  const std::lock_guard lock(mpi_);
  if (liveness_.was_told_that_it_goes_on()) {
    liveness_.stop_asking();
    return Findings{.text = "", .busy = "a rank, as another one says", .others_tell = true};
  }
  if (!liveness_.asking()) return std::nullopt;
  Findings found{.text = liveness_.findings(),
                 .busy = liveness_.busy_ranks(),
                 .others_tell = liveness_.lower_rank_asked()};
  liveness_.stop_asking();
  if (!found.busy.empty() && !found.others_tell) liveness_.tell_that_it_goes_on();
  return found;
}

void MpiProgress::answer_while_busy(const std::stop_token& stop) {
  std::unique_lock lock(mpi_);
  for (;;) {
    changed_.wait_for(lock, stop, std::chrono::duration<double>(kAnswerSeconds),
                      [] { return false; });
    if (stop.stop_requested()) return;
    if (waits_) continue;
    try {
      answer_locked("");
    } catch (const std::bad_alloc&) {  // the work has the same trouble, and says so
    }
  }
}

void MpiProgress::finished_waiting() {
  last_answer_s_ = 0;
  granted_s_ = 0;
  const std::lock_guard lock(mpi_);
  waits_ = false;
  liveness_.forget_questions();
  if (liveness_.asking() || liveness_.lower_rank_asked()) liveness_.stop_asking();
}

void MpiProgress::idle(const Wait& wait, uint64_t) {
  if (wait.attempts < kSpins) return;
  if (wait.seconds < kYieldSeconds) {
    sched_yield();
    return;
  }
  if (wait.seconds - last_answer_s_ > kAnswerSeconds) {
    last_answer_s_ = wait.seconds;
    const std::lock_guard lock(mpi_);
    waits_ = true;
    liveness_.answer_questions({.text = wait.operation.description() + at_activity()});
    if (liveness_.was_told_that_it_goes_on()) {
      granted_s_ = wait.seconds;
      liveness_.stop_asking();
    }
  }
  if (wait.seconds > granted_s_ + time_limit_s_) run_out_of_time(wait);
  std::this_thread::sleep_for(std::chrono::microseconds(wait.seconds < 0.1 ? 20 : 200));
}

void MpiProgress::run_out_of_time(const Wait& wait) {
  const std::lock_guard lock(mpi_);
  const double grace = grace_s();
  if (!liveness_.asking()) {
    if (another_asks() || wait.seconds < granted_s_ + time_limit_s_ + turn_s()) return;
    asked_at_s_ = wait.seconds;
    liveness_.ask(wait.operation.description() + at_activity());
  }
  const double patience = liveness_.lower_rank_asked() ? 2 * grace : grace;
  if (wait.seconds < asked_at_s_ + patience) return;
  const std::string busy = liveness_.busy_ranks();
  if (busy.empty()) end_job(wait);
  if (!liveness_.lower_rank_asked()) {
    tell_that_it_goes_on(wait, busy);
    liveness_.tell_that_it_goes_on();
  }
  liveness_.stop_asking();
  granted_s_ = wait.seconds;
}

void MpiProgress::end_job(const Wait& wait) {
  std::fprintf(stderr, "longhaul: rank %d (host %s): %s did not finish within %g s%s; %s\n", rank_,
               host_.c_str(), wait.operation.description().c_str(), time_limit_s_.load(),
               at_activity().c_str(), liveness_.findings().c_str());
  std::fflush(stderr);
  end_launcher_later();
  MPI_Abort(MPI_COMM_WORLD, 1);
  std::abort();
}

}  // namespace longhaul::dist
