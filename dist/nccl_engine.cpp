#include "dist/nccl_engine.h"

#include <glog/logging.h>
#include <nccl.h>
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "kernels/core/error.h"

namespace longhaul::dist {

namespace {

using Clock = NcclOperation::Clock;
using Stage = NcclOperation::Stage;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

std::string nccl_problem(const char* call, int result) {
  return core::message(call, ": ", ncclGetErrorString(static_cast<ncclResult_t>(result)));
}

NcclId new_nccl_id() {
  static_assert(sizeof(NcclId) == sizeof(ncclUniqueId));
  ncclUniqueId id;
  const ncclResult_t code = ncclGetUniqueId(&id);
  if (code != ncclSuccess) throw core::Error(nccl_problem("ncclGetUniqueId", code));
  NcclId result;
  std::memcpy(result.bytes, id.internal, sizeof(result.bytes));
  return result;
}

NcclChannel::NcclChannel(DeviceRuntime& runtime, int ranks, int rank, const NcclId& id)
    : runtime_(runtime), stream_(runtime.make_stream()) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclUniqueId nccl_id;
  std::memcpy(nccl_id.internal, id.bytes, sizeof(id.bytes));
  const ncclResult_t code = ncclCommInitRankConfig(&comm_, ranks, nccl_id, rank, &config);
  if (code != ncclSuccess && code != ncclInProgress) {
    runtime_.destroy(stream_);
    throw core::Error(nccl_problem("ncclCommInitRankConfig", code));
  }
}

NcclChannel::~NcclChannel() {
  if (comm_ != nullptr) {
    constexpr double kPatience = 10;  // the others may be gone
    ncclResult_t state = ncclCommFinalize(comm_);
    for (const auto start = Clock::now();
         state == ncclInProgress && seconds_since(start) < kPatience;)
      ncclCommGetAsyncError(comm_, &state);
    state == ncclSuccess ? ncclCommDestroy(comm_) : ncclCommAbort(comm_);
  }
  runtime_.destroy(stream_);
}

void NcclChannel::push(NcclOperation& operation) {
  operation.stage = Stage::kQueued;
  queue_.push_back(&operation);
}

int NcclChannel::error() const {
  if (comm_ == nullptr) return ncclSuccess;
  ncclResult_t state = ncclSuccess;
  const ncclResult_t code = ncclCommGetAsyncError(comm_, &state);
  return code == ncclSuccess ? state : code;
}

int NcclChannel::advance() {
  for (;;) {
    const int state = error();
    if (state != ncclSuccess || queue_.empty()) return state;
    NcclOperation& next = *queue_.front();
    if (next.stage == Stage::kQueued) {
      runtime_.wait(stream_, next.ready);
      next.stage = Stage::kIssued;
      const int code = next.issue(comm_, stream_);
      if (code != ncclSuccess && code != ncclInProgress) return code;
      continue;  // NCCL may still be connecting the ranks: it is asked again
    }
    runtime_.record(next.done, stream_);
    next.stage = Stage::kLaunched;
    queue_.pop_front();
  }
}

void NcclChannel::abort() noexcept {
  if (comm_ != nullptr) ncclCommAbort(std::exchange(comm_, nullptr));
  queue_.clear();
}

NcclEngine::NcclEngine(int world_rank, const NcclOptions& options,
                       std::unique_ptr<DeviceRuntime> runtime)
    : world_rank_(world_rank),
      options_(options),
      runtime_(std::move(runtime)),
      watchdog_([this](const std::stop_token& stop) { watch(stop); }) {}

NcclEngine::~NcclEngine() {
  watchdog_.request_stop();
  watchdog_.join();
  channels_.clear();
  for (const NcclOperation& operation : operations_) {
    free_events_.insert(free_events_.end(), {operation.ready, operation.done});
  }
  for (const DeviceRuntime::Event event : free_events_) runtime_->destroy_event(event);
}

NcclChannel& NcclEngine::add_channel(int ranks, int rank, const NcclId& id) {
  const std::lock_guard lock(mutex_);
  channels_.push_back(std::make_unique<NcclChannel>(*runtime_, ranks, rank, id));
  if (failed_) channels_.back()->abort();
  return *channels_.back();
}

void NcclEngine::remove_channel(NcclChannel& channel) {
  const std::lock_guard lock(mutex_);
  channels_.remove_if([&](const auto& each) { return each.get() == &channel; });
}

NcclOperation& NcclEngine::new_operation(std::string description, NcclCall issue) {
  const std::lock_guard lock(mutex_);
  if (failed_) throw_failure();
  NcclOperation& operation = operations_.emplace_back();
  operation.description = std::move(description);
  operation.issue = std::move(issue);
  for (DeviceRuntime::Event* event : {&operation.ready, &operation.done}) {
    if (free_events_.empty()) free_events_.push_back(runtime_->make_event());
    *event = free_events_.back();
    free_events_.pop_back();
  }
  runtime_->record(operation.ready, options_.compute_stream);
  return operation;
}

void NcclEngine::push(NcclChannel& channel, NcclOperation& operation) {
  const std::lock_guard lock(mutex_);
  channel.push(operation);
}

void NcclEngine::launch_on_compute(NcclOperation& operation, const std::function<void()>& work) {
  const std::lock_guard lock(mutex_);
  work();
  runtime_->record(operation.done, options_.compute_stream);
  operation.stage = Stage::kLaunched;
}

void NcclEngine::forget(NcclOperation& operation) {
  const std::lock_guard lock(mutex_);
  operation.forgotten = true;
  operation.issue = nullptr;
}

bool NcclEngine::is_done(NcclOperation& operation) {
  const std::lock_guard lock(mutex_);
  if (failed_) throw_failure();  // an aborted operation has ended too, with anything in its memory
  return operation.stage == Stage::kLaunched && runtime_->is_complete(operation.done);
}

void NcclEngine::advance() {
  if (failed()) {
    const std::lock_guard lock(mutex_);
    throw_failure();
  }
  for (const Poller& poller : pollers_) poller();
  advance_channels();
}

void NcclEngine::advance_channels() {
  const std::lock_guard lock(mutex_);
  for (const auto& channel : channels_) {
    const int code = channel->advance();
    if (code != ncclSuccess && code != ncclInProgress) {
      fail_locked(nccl_problem("NCCL", code));
    }
  }
  if (failed_) throw_failure();
}

void NcclEngine::wait_until(const std::function<bool()>& is_met, const std::string& description) {
  constexpr int kSpins = 256;
  const auto start = Clock::now();
  for (int64_t attempts = 0;; ++attempts) {
    advance();
    if (is_met()) return;
    if (attempts < kSpins) continue;
    sched_yield();
    const double limit = [&] {
      const std::lock_guard lock(mutex_);
      return options_.time_limit_s;
    }();
    if (seconds_since(start) < limit) continue;
    fail(core::message(description, " did not finish within ", limit, " s"));
  }
}

void NcclEngine::set_time_limit(double seconds) {
  const std::lock_guard lock(mutex_);
  options_.time_limit_s = seconds;
}

void NcclEngine::set_activity(const std::string& activity) {
  const std::lock_guard lock(mutex_);
  activity_ = activity;
}

bool NcclEngine::failed() const {
  const std::lock_guard lock(mutex_);
  return failed_;
}

void NcclEngine::fail(const std::string& what) {
  const std::lock_guard lock(mutex_);
  fail_locked(what);
}

/// `what`, and during which operation: the oldest that is not done.
void NcclEngine::fail_locked(const std::string& what) {
  if (failed_) return;
  failed_ = true;
  failed_at_ = Clock::now();
  failure_ = core::message("rank ", world_rank_, ": ", what);
  const auto oldest = std::find_if(operations_.begin(), operations_.end(),
                                   [](const auto& each) { return each.stage != Stage::kWaiting; });
  if (oldest != operations_.end() && what.find(oldest->description) == std::string::npos) {
    failure_ += " during " + oldest->description;
  }
  if (!activity_.empty()) failure_ += " at " + activity_;
  for (const auto& channel : channels_) channel->abort();
}

void NcclEngine::throw_failure() {
  noticed_ = true;
  throw core::Error(failure_);
}

void NcclEngine::watch(const std::stop_token& stop) {
  constexpr auto kTick = std::chrono::milliseconds(20);
  runtime_->use_on_this_thread();
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    changed_.wait_for(lock, stop, kTick, [] { return false; });
    if (!failed_) {
      try {
        check_operations();
      } catch (const core::Error& error) {  // the device itself
        fail_locked(error.what());
      }
    } else if (!noticed_ && seconds_since(failed_at_) > options_.grace_s) {
      noticed_ = true;
      const std::string failure = failure_;
      lock.unlock();
      std::fprintf(stderr, "longhaul: %s\n", failure.c_str());
      options_.end_job ? options_.end_job(failure) : std::abort();
      lock.lock();
    }
  }
}

void NcclEngine::check_operations() {
  for (const auto& channel : channels_) {
    const int code = channel->error();
    if (code == ncclSuccess || code == ncclInProgress) continue;
    return fail_locked(nccl_problem("NCCL", code));
  }
  for (auto each = operations_.begin(); each != operations_.end();) {
    NcclOperation& operation = *each++;
    if (operation.stage == Stage::kLaunched && runtime_->is_complete(operation.done)) {
      if (!operation.forgotten) continue;
      free_events_.insert(free_events_.end(), {operation.ready, operation.done});
      operations_.erase(std::prev(each));
      continue;
    }
    if (operation.stage == Stage::kWaiting) continue;  // its rank waits for it, or does not yet
    if (!operation.others_due && runtime_->is_complete(operation.ready)) {
      operation.others_due = true;
      operation.due_since = Clock::now();
    }
    if (operation.others_due && seconds_since(operation.due_since) > options_.time_limit_s) {
      return fail_locked(core::message(operation.description, " did not finish within ",
                                       options_.time_limit_s, " s"));
    }
  }
}

}  // namespace longhaul::dist
