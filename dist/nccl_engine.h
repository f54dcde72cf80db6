// The operations of all NCCL communicators of one rank: queued, issued, watched. Private to
// dist/nccl_*.cpp.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
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
  int64_t number = 0;  ///< of this rank's operations
  NcclCall issue;
  DeviceRuntime::Event ready = nullptr;  ///< on the compute stream: its data are there
  DeviceRuntime::Event done = nullptr;
  enum class Stage { kWaiting, kQueued, kIssued, kLaunched } stage = Stage::kWaiting;
  bool awaited = false;     ///< its rank cannot go on before it is with NCCL
  bool others_due = false;  ///< its data are there, or it is awaited: the time limit runs
  Clock::time_point due_since;
  bool over = false;       ///< the watchdog has seen its end
  bool forgotten = false;  ///< its Pending is gone: to be removed once the device is done
};
inline double seconds_since(NcclOperation::Clock::time_point start) {
  return std::chrono::duration<double>(NcclOperation::Clock::now() - start).count();
}

struct NcclChannelSetup {
  int ranks = 1, rank = 0;
  NcclId id;
  /// Takes few multiprocessors: messages of many pairs of ranks travel beside each other and beside
  /// the collectives, and NCCL's kernels wait for their peers on the multiprocessors they have.
  bool is_narrow = false;
};

/// Operations of one NCCL communicator in order, on a stream of their own. The communicator is
/// non-blocking: whatever waits for other ranks is polled.
class NcclChannel {
 public:
  NcclChannel(DeviceRuntime& runtime, const NcclChannelSetup& setup);
  ~NcclChannel();
  NcclChannel(const NcclChannel&) = delete;
  NcclChannel& operator=(const NcclChannel&) = delete;

  void push(NcclOperation& operation);
  /// Issues what can be. Returns NCCL's result.
  int advance();
  int error() const;
  /// What NCCL has to say of `result`.
  std::string problem(int result) const;

  /// The end, where all ranks come to it: begin_end on all channels that end, until all have ended,
  /// then destroy.
  void begin_end();
  bool has_ended() const;
  void destroy();
  /// Gives the communicator up, to be aborted.
  ncclComm* release();

 private:
  DeviceRuntime& runtime_;
  DeviceRuntime::Stream stream_;
  ncclComm* comm_ = nullptr;
  std::deque<NcclOperation*> queue_;
};

/// ncclCommAbort may block on what hangs (a kernel that runs, a rank of this node that does not
/// abort too): each call has a thread of its own, and nothing depends on its end.
class NcclAborts {
 public:
  void begin(ncclComm* comm, std::shared_ptr<DeviceRuntime> runtime) noexcept;
  /// Whether all have come back, after at most so long.
  bool wait(double seconds) const;

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    int under_way = 0;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

/// Thread-safe where said; otherwise for the rank's own thread.
class NcclEngine {
 public:
  /// `liveness`: of the host's ranks, or absent; outlives the engine.
  NcclEngine(int world_rank, Liveness* liveness, const NcclOptions& options,
             std::unique_ptr<DeviceRuntime> runtime);
  ~NcclEngine();

  DeviceRuntime& runtime() { return *runtime_; }
  DeviceRuntime::Stream compute_stream() const { return options_.compute_stream; }

  NcclChannel& add_channel(const NcclChannelSetup& setup);
  /// In an order that is the same on all ranks that share them.
  void remove_channels(const std::vector<NcclChannel*>& channels);

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
  /// Until it is with the device; the watchdog fails it when that takes longer than the limit.
  void wait_until_launched(NcclOperation& operation);
  /// Throws the failure, if there is one.
  bool is_done(NcclOperation& operation);

  /// Thread-safe. The first failure counts: aborts every communicator, so that no kernel and no
  /// rank waits for this one.
  void fail(const std::string& what);
  bool failed() const;
  void set_time_limit(double seconds);
  void set_activity(const std::string& activity);

 private:
  using Clock = NcclOperation::Clock;

  void advance_channels();
  void fail_locked(const std::string& what);
  [[noreturn]] void throw_failure();
  /// The oldest that is not done.
  const NcclOperation* oldest() const;
  /// What this rank is at, for the others.
  struct Doing {
    std::string what;
    bool waits = false;  ///< for them
  };
  Doing doing() const;

  // The watchdog's.
  void watch(const std::stop_token& stop);
  /// What is overdue, if anything.
  std::string check_operations();
  void look_for_the_others(const std::string& overdue, const Doing& doing);
  void restart_limits();
  void end_job(const std::string& failure);

  const int world_rank_;
  Liveness* const liveness_;
  NcclOptions options_;
  std::atomic<double> time_limit_s_;
  std::shared_ptr<DeviceRuntime> runtime_;  // aborts that hang keep it
  std::list<Poller> pollers_;
  NcclAborts aborts_;

  mutable std::mutex mutex_;  // guards all below but the watchdog's, and calls to NCCL
  std::list<std::unique_ptr<NcclChannel>> channels_;
  std::list<NcclOperation> operations_;
  int64_t begun_ = 0;  // operations so far
  std::vector<DeviceRuntime::Event> free_events_;
  std::string activity_, failure_;
  bool failed_ = false, noticed_ = false;
  Clock::time_point failed_at_;

  std::optional<Clock::time_point> overdue_since_, asked_at_;
  bool has_ended_job_ = false;
  std::jthread watchdog_;  // last: stops before what it looks at goes
};

}  // namespace longhaul::dist
