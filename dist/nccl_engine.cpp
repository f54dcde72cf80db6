#include "dist/nccl_engine.h"

#include <glog/logging.h>
#include <nccl.h>
#include <sched.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

#include "kernels/core/error.h"

namespace longhaul::dist {

namespace {

using Clock = NcclOperation::Clock;
using Stage = NcclOperation::Stage;

constexpr double kPatienceSeconds = 10;  // for the end of communicators: the others may be gone
constexpr int kNarrowBlocks = 4;         // multiprocessors of a narrow communicator, at most

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

NcclChannel::NcclChannel(DeviceRuntime& runtime, const NcclChannelSetup& setup)
    : runtime_(runtime), stream_(runtime.make_stream()) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  if (setup.is_narrow) {
    config.minCTAs = 1;
    config.maxCTAs = kNarrowBlocks;
  }
  ncclUniqueId id;
  std::memcpy(id.internal, setup.id.bytes, sizeof(id.internal));
  const ncclResult_t code = ncclCommInitRankConfig(&comm_, setup.ranks, id, setup.rank, &config);
  if (code != ncclSuccess && code != ncclInProgress) {
    runtime_.destroy(stream_);
    throw core::Error(nccl_problem("ncclCommInitRankConfig", code));
  }
}

NcclChannel::~NcclChannel() { runtime_.destroy(stream_); }

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

std::string NcclChannel::problem(int result) const {
  const char* detail = comm_ != nullptr ? ncclGetLastError(comm_) : nullptr;
  const bool has_detail = detail != nullptr && detail[0] != '\0';
  return nccl_problem("NCCL", result) + (has_detail ? core::message(" (", detail, ")") : "");
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

void NcclChannel::begin_end() {
  if (comm_ != nullptr) ncclCommFinalize(comm_);
}

bool NcclChannel::has_ended() const { return error() != ncclInProgress; }

void NcclChannel::destroy() {
  if (comm_ != nullptr) ncclCommDestroy(std::exchange(comm_, nullptr));
}

ncclComm* NcclChannel::release() {
  queue_.clear();
  return std::exchange(comm_, nullptr);
}

void NcclAborts::begin(ncclComm* comm, std::shared_ptr<DeviceRuntime> runtime) noexcept {
  if (comm == nullptr) return;
  try {
    {
      const std::lock_guard lock(state_->mutex);
      ++state_->under_way;
    }
    std::thread([comm, runtime = std::move(runtime), state = state_] {
      try {
        runtime->use_on_this_thread();
      } catch (const core::Error&) {  // the device is lost: the abort says so again, to nobody
      }
      ncclCommAbort(comm);
      const std::lock_guard lock(state->mutex);
      --state->under_way;
      state->changed.notify_all();
    }).detach();
  } catch (const std::exception& error) {  // no thread: the end of the job ends it too
    LOG(ERROR) << "a communicator is not aborted: " << error.what();
  }
}

bool NcclAborts::wait(double seconds) const {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, std::chrono::duration<double>(seconds),
                                  [&] { return state_->under_way == 0; });
}

NcclEngine::NcclEngine(int world_rank, Liveness* liveness, const NcclOptions& options,
                       std::unique_ptr<DeviceRuntime> runtime)
    : world_rank_(world_rank),
      liveness_(liveness),
      options_(options),
      time_limit_s_(options.time_limit_s),
      runtime_(std::move(runtime)),
      watchdog_([this](const std::stop_token& stop) { watch(stop); }) {}

NcclEngine::~NcclEngine() {
  watchdog_.request_stop();
  watchdog_.join();
  if (!aborts_.wait(kPatienceSeconds)) {
    // Destroying what they still use could hang as they do; the process is near its end.
    for (auto& channel : channels_) static_cast<void>(channel.release());
    return;
  }
  channels_.clear();
  for (const NcclOperation& operation : operations_) {
    free_events_.insert(free_events_.end(), {operation.ready, operation.done});
  }
  for (const DeviceRuntime::Event event : free_events_) runtime_->destroy_event(event);
}

NcclChannel& NcclEngine::add_channel(const NcclChannelSetup& setup) {
  const std::lock_guard lock(mutex_);
  channels_.push_back(std::make_unique<NcclChannel>(*runtime_, setup));
  if (failed_) aborts_.begin(channels_.back()->release(), runtime_);
  return *channels_.back();
}

void NcclEngine::remove_channels(const std::vector<NcclChannel*>& channels) {
  std::vector<std::unique_ptr<NcclChannel>> ending;
  {
    const std::lock_guard lock(mutex_);
    for (NcclChannel* channel : channels) {
      const auto each = std::find_if(channels_.begin(), channels_.end(),
                                     [&](const auto& own) { return own.get() == channel; });
      ending.push_back(std::move(*each));
      channels_.erase(each);
    }
  }
  for (const auto& channel : ending) channel->begin_end();
  const auto start = Clock::now();
  for (const auto& channel : ending) {
    while (!channel->has_ended() && seconds_since(start) < kPatienceSeconds) sched_yield();
    if (channel->error() == ncclSuccess) {
      channel->destroy();
    } else {
      aborts_.begin(channel->release(), runtime_);
    }
  }
}

NcclOperation& NcclEngine::new_operation(std::string description, NcclCall issue) {
  NcclOperation* operation = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (failed_) throw_failure();
    operation = &operations_.emplace_back();
    operation->description = std::move(description);
    operation->number = ++begun_;
    operation->issue = std::move(issue);
    for (DeviceRuntime::Event* event : {&operation->ready, &operation->done}) {
      if (free_events_.empty()) free_events_.push_back(runtime_->make_event());
      *event = free_events_.back();
      free_events_.pop_back();
    }
  }
  // It may block, while the compute stream has no room.
  runtime_->record(operation->ready, options_.compute_stream);
  return *operation;
}

void NcclEngine::push(NcclChannel& channel, NcclOperation& operation) {
  const std::lock_guard lock(mutex_);
  channel.push(operation);
}

void NcclEngine::launch_on_compute(NcclOperation& operation, const std::function<void()>& work) {
  work();
  runtime_->record(operation.done, options_.compute_stream);
  const std::lock_guard lock(mutex_);
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
    if (code != ncclSuccess && code != ncclInProgress) fail_locked(channel->problem(code));
  }
  if (failed_) throw_failure();
}

void NcclEngine::wait_until_launched(NcclOperation& operation) {
  constexpr int kSpins = 256;
  for (int64_t attempts = 0;; ++attempts) {
    advance();
    if (operation.stage == Stage::kLaunched) return;  // only this thread moves it on
    if (attempts < kSpins) continue;
    if (attempts == kSpins) {
      const std::lock_guard lock(mutex_);
      operation.awaited = true;
    }
    sched_yield();
  }
}

void NcclEngine::set_time_limit(double seconds) { time_limit_s_ = seconds; }

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

const NcclOperation* NcclEngine::oldest() const {
  const auto found = std::find_if(operations_.begin(), operations_.end(), [](const auto& each) {
    return !each.over && (each.stage != Stage::kWaiting || each.awaited);
  });
  return found == operations_.end() ? nullptr : &*found;
}

/// `what`, and during which operation.
void NcclEngine::fail_locked(const std::string& what) {
  if (failed_) return;
  failed_ = true;
  failed_at_ = Clock::now();
  failure_ = core::message("rank ", world_rank_, ": ", what);
  const NcclOperation* during = oldest();
  if (during != nullptr && what.find(during->description) == std::string::npos) {
    failure_ += " during " + during->description;
  }
  if (!activity_.empty()) failure_ += " at " + activity_;
  for (const auto& channel : channels_) aborts_.begin(channel->release(), runtime_);
}

void NcclEngine::throw_failure() {
  noticed_ = true;
  throw core::Error(failure_);
}

}  // namespace longhaul::dist
