// Ranks with a GPU each: device memory through NCCL, host memory through the communicator that the
// ranks already have.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "dist/communicator.h"
#include "dist/device_runtime.h"

namespace longhaul::dist {

struct NcclOptions {
  core::Device device;
  DeviceRuntime::Stream compute_stream = nullptr;  ///< where the ops of this rank run
  double time_limit_s = 300;                       ///< longest wait for others inside one operation
  /// Called from another thread with the message of a failure that this rank does not notice
  /// itself, because it hangs elsewhere: ends the job. Empty: std::abort.
  std::function<void(const std::string&)> end_job;
  double grace_s = 30;  ///< between a failure and end_job
};

/// True if this build has NCCL.
bool nccl_available() noexcept;
/// Why not, and what is missing; empty if it can.
const char* nccl_unavailable_reason() noexcept;

/// One per process (rank): what all its NCCL communicators share. Outlives them; watches every
/// operation under way and NCCL's own errors.
class NcclSession {
 public:
  /// `bootstrap`: the same ranks on host memory; passes ids and small notes, and carries what lies
  /// on the host. Collective. Throws core::Error where this build has no NCCL.
  NcclSession(Communicator& bootstrap, const NcclOptions& options);
  /// With another runtime: tests.
  NcclSession(Communicator& bootstrap, const NcclOptions& options,
              std::unique_ptr<DeviceRuntime> runtime);
  ~NcclSession();
  NcclSession(const NcclSession&) = delete;
  NcclSession& operator=(const NcclSession&) = delete;

  /// All ranks of the bootstrap communicator.
  Communicator& world();
  void set_time_limit(double seconds);
  /// Stands in messages ("at step 17").
  void set_activity(const std::string& activity);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Order of sums: NCCL's. It depends on version, topology, number of channels and size, not on
/// timing: the same job on the same machines has the same bits from run to run, and every rank
/// receives the same bits of an all-reduce; a reduce-scatter may differ from it in the last ones,
/// and bf16 rounds at every hop. Sums over host memory keep the host communicator's order, rank by
/// rank.
///
/// An operation's wait() puts the compute stream behind it and does not block the host until the
/// device is done; test() is true once the device is.

}  // namespace longhaul::dist
