// The ranks that work together, seen from one of them. Three implementations pass one contract
// suite (tests/dist/communicator_contract.h): threads of one process, MPI on host memory, NCCL on
// device memory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/core/tensor.h"

namespace longhaul::dist {

/// An operation under way. Its views must stay valid and untouched until wait() returns.
/// Destroying an unfinished operation waits for it.
class Pending {
 public:
  virtual ~Pending() = default;
  virtual void wait() = 0;
  /// wait() for who has something else to look at until then.
  virtual void wait_while(const std::function<void()>& meanwhile) {
    while (!test()) meanwhile();
  }
  /// Makes progress without blocking; true once complete.
  virtual bool test() = 0;
};

/// To or from `peer`.
struct Transfer {
  core::TensorView view;
  int peer = 0;
};

/// Which ranks are still there, and what they do. Thread-safe.
class Liveness {
 public:
  virtual ~Liveness() = default;
  /// What a rank does ten times a second: answers those that ask. `doing`: what with; `waits`: it
  /// is another rank's turn, so that this one is not Busy whatever it says.
  virtual void answer(const std::string& doing, bool waits) = 0;
  /// Asks everybody, unless this rank asks already, or another one does, whose findings count for
  /// all. answer() collects the answers too.
  virtual void ask(const std::string& doing) = 0;
  /// Seconds after its limit at which it is this rank's turn to ask: by then a lower rank that
  /// waits too has asked.
  virtual double turn_s() const { return 0; }
  /// Seconds that all answers may take, at most.
  virtual double grace_s() const { return 5; }
  struct Findings {
    std::string text;  ///< "no answer from rank 1 (host a)"; if all answered, what they wait in
    std::string busy;  ///< "rank 1 (host a): writing the model"; empty where nobody is Busy, or one
                       ///< did not answer
    bool others_tell = false;  ///< another rank, which asked too, reports
  };
  /// What has come since ask(), which ends here; nothing if it had ended before.
  virtual std::optional<Findings> findings() = 0;
};

/// All ranks call the collectives in the same order with equal sizes and dtypes (all_gather and
/// reduce_scatter: as stated). Views are contiguous. Sums are taken in fp32/fp64 in an order that
/// depends on sizes only, and every rank receives the same bits. Creation, split and destruction
/// are collective. One thread uses a communicator at a time. A wait longer than the configured
/// limit ends the job with a message that names rank, operation and the ranks that did not answer,
/// unless a rank is Busy.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  virtual std::unique_ptr<Pending> start_broadcast(core::TensorView view, int root) = 0;
  /// In place.
  virtual std::unique_ptr<Pending> start_all_reduce_sum(core::TensorView view) = 0;
  /// In place; largest element of each position, NaN where any rank has one.
  virtual std::unique_ptr<Pending> start_all_reduce_max(core::TensorView view) = 0;
  /// gathered has size() times the elements of own, rank order. own may be its part `rank()`.
  virtual std::unique_ptr<Pending> start_all_gather(core::TensorView own,
                                                    core::TensorView gathered) = 0;
  /// full has size() times the elements of own; own, which may be part `rank()` of full, receives
  /// the sum of everybody's part `rank()`: the bits that start_all_reduce_sum would give. The other
  /// parts of full stay as they are.
  virtual std::unique_ptr<Pending> start_reduce_scatter_sum(core::TensorView full,
                                                            core::TensorView own) = 0;
  /// Many messages at once. Collective, with empty lists where a rank has none: the k-th of `sends`
  /// to a rank meets the k-th of its `receives` from this one, which has the same size. On a device
  /// one call of NCCL's, without anything over the host: the better way wherever all ranks know who
  /// sends what.
  virtual std::unique_ptr<Pending> start_transfers(const std::vector<Transfer>& sends,
                                                   const std::vector<Transfer>& receives);
  /// Messages between two ranks with one tag arrive in order. Tags are 0 to kLargestTag.
  static constexpr int kLargestTag = 32766;
  virtual std::unique_ptr<Pending> start_send(core::TensorView view, int peer, int tag) = 0;
  virtual std::unique_ptr<Pending> start_receive(core::TensorView view, int peer, int tag) = 0;
  virtual void barrier() = 0;
  /// Whether a message needs only its two ranks to travel, whatever else they have started: many
  /// messages may then take the place of a collective.
  virtual bool has_free_messages() const { return true; }

  /// Absent where no wait has a limit.
  virtual Liveness* liveness() { return nullptr; }
  /// Busy's. Nothing to do where no wait has a limit.
  virtual void begin_busy(const std::string& what) { static_cast<void>(what); }
  virtual void end_busy() {}

  /// Ranks with equal `color` form a new communicator, ordered by `key`, then by old rank.
  virtual std::unique_ptr<Communicator> split(int color, int key) = 0;

  void broadcast(core::TensorView view, int root) { start_broadcast(view, root)->wait(); }
  void all_reduce_sum(core::TensorView view) { start_all_reduce_sum(view)->wait(); }
  void all_reduce_max(core::TensorView view) { start_all_reduce_max(view)->wait(); }
  void all_gather(core::TensorView own, core::TensorView gathered) {
    start_all_gather(own, gathered)->wait();
  }
  void reduce_scatter_sum(core::TensorView full, core::TensorView own) {
    start_reduce_scatter_sum(full, own)->wait();
  }
  void send(core::TensorView view, int peer, int tag) { start_send(view, peer, tag)->wait(); }
  void receive(core::TensorView view, int peer, int tag) { start_receive(view, peer, tag)->wait(); }

  /// Conveniences on host scalars and bytes.
  double sum(double value);
  double max(double value);
  int64_t sum(int64_t value);  ///< exact below 2^53
  /// Root's bytes on every rank; any length, may differ from what others hold before.
  std::string broadcast_bytes(const std::string& bytes, int root);
};

/// While one lives, work of this rank that the others have no share of (a model to write, the last
/// sequence of an evaluation) may take longer than the time limit: ranks that wait for it say so
/// whenever the limit passes, and go on as long as its process answers. A rank whose process does
/// not answer, and one that hangs in an operation, are found within the limit all the same.
class Busy {
 public:
  /// `what`: "writing the model". `world` outlives it.
  Busy(Communicator& world, const std::string& what) : world_(world) { world_.begin_busy(what); }
  ~Busy() { world_.end_busy(); }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  Communicator& world_;
};

}  // namespace longhaul::dist
