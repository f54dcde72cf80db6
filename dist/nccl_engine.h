// The operations of all NCCL communicators of one rank: queued, issued, watched. Private to
// dist/nccl_*.cpp.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "dist/device_runtime.h"
#include "dist/nccl_communicator.h"

struct ncclComm;  // nccl.h is for sources only

namespace longhaul::dist {

/// ncclUniqueId.
struct NcclId {
  char bytes[128] = {};
};
NcclId new_nccl_id();
/// "ncclCommAbort: …" for a ncclResult_t.
std::string nccl_problem(const char* call, int result);

/// A call to NCCL on a communicator and stream; returns its ncclResult_t.
using NcclCall = std::function<int(ncclComm*, DeviceRuntime::Stream)>;

class NcclChannel;

/// One call to NCCL. Lives until the device is done with it (the engine's list of them).
struct NcclOperation {
  using Clock = std::chrono::steady_clock;

  std::string description;
  NcclCall issue;
  DeviceRuntime::Event ready = nullptr;  ///< on the compute stream: its data are there
  DeviceRuntime::Event done = nullptr;
  enum class Stage { kWaiting, kQueued, kIssued, kLaunched } stage = Stage::kWaiting;
  bool others_due = false;  ///< its data are there: the time limit runs
  Clock::time_point due_since;
  bool forgotten = false;  ///< its Pending is gone: to be removed once the device is done
};

/// Operations of one NCCL communicator in order, on a stream of their own. The communicator is
/// non-blocking: whatever waits for other ranks is polled.
class NcclChannel {
 public:
  NcclChannel(DeviceRuntime& runtime, int ranks, int rank, const NcclId& id);
  ~NcclChannel();
  NcclChannel(const NcclChannel&) = delete;
  NcclChannel& operator=(const NcclChannel&) = delete;

  void push(NcclOperation& operation);
  /// Issues what can be. Returns NCCL's result.
  int advance();
  int error() const;
  void abort() noexcept;

 private:
  DeviceRuntime& runtime_;
  DeviceRuntime::Stream stream_;
  ncclComm* comm_ = nullptr;
  std::deque<NcclOperation*> queue_;
};

/// Thread-safe where said; otherwise for the rank's own thread.
class NcclEngine {
 public:
  NcclEngine(int world_rank, const NcclOptions& options, std::unique_ptr<DeviceRuntime> runtime);
  ~NcclEngine();

  DeviceRuntime& runtime() { return *runtime_; }
  DeviceRuntime::Stream compute_stream() const { return options_.compute_stream; }

  NcclChannel& add_channel(int ranks, int rank, const NcclId& id);
  void remove_channel(NcclChannel& channel);

  /// Records that the operation's data are ready where the compute stream stands now.
  NcclOperation& new_operation(std::string description, NcclCall issue);
  void push(NcclChannel& channel, NcclOperation& operation);
  /// Without NCCL: something put on the compute stream itself.
  void launch_on_compute(NcclOperation& operation, const std::function<void()>& work);
  void forget(NcclOperation& operation);

  /// Something that must be looked at while this rank waits: messages of the host communicator.
  using Poller = std::function<void()>;
  std::list<Poller>::iterator add_poller(Poller poller) {
    return pollers_.insert(pollers_.end(), std::move(poller));
  }
  void remove_poller(std::list<Poller>::iterator poller) { pollers_.erase(poller); }

  /// Moves everything that can be moved. Throws the failure, if there is one.
  void advance();
  /// Until `is_met`; fails when that takes longer than the limit.
  void wait_until(const std::function<bool()>& is_met, const std::string& description);
  /// Throws the failure, if there is one.
  bool is_done(NcclOperation& operation);

  /// Thread-safe. The first failure counts: aborts every communicator, so that no kernel and no
  /// rank waits for this one.
  void fail(const std::string& what);
  bool failed() const;
  void set_time_limit(double seconds);
  void set_activity(const std::string& activity);

 private:
  void advance_channels();
  void watch(const std::stop_token& stop);
  void check_operations();
  void fail_locked(const std::string& what);
  [[noreturn]] void throw_failure();

  const int world_rank_;
  NcclOptions options_;
  std::unique_ptr<DeviceRuntime> runtime_;
  std::list<Poller> pollers_;

  mutable std::mutex mutex_;  // guards all below, and calls to NCCL
  std::list<std::unique_ptr<NcclChannel>> channels_;
  std::list<NcclOperation> operations_;
  std::vector<DeviceRuntime::Event> free_events_;
  std::string activity_, failure_;
  bool failed_ = false, noticed_ = false;
  NcclOperation::Clock::time_point failed_at_;
  std::condition_variable_any changed_;
  std::jthread watchdog_;  // last: stops before what it looks at goes
};

}  // namespace longhaul::dist
