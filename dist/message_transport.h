// What a communicator made of messages needs from the machine. Threads and MPI differ in this and
// nothing else: the collectives above it are one code, so both give the same bits.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "kernels/core/memory_pool.h"

namespace longhaul::dist {

/// A message under way. Destroying it unfinished gives it up: its memory is not touched afterwards.
class Message {
 public:
  virtual ~Message() = default;
  /// True once complete; throws Error if the two ends disagree about the size.
  virtual bool test() = 0;
};

/// Something that advances whenever this rank waits for anything.
class Advancing {
 public:
  virtual ~Advancing() = default;
  /// Does what can be done without blocking; true once complete.
  virtual bool advance() = 0;
  virtual std::string description() const = 0;  ///< "all_reduce_sum of 4096 bytes"
};

/// One per rank, shared by all its communicators: while one operation is waited for, all others
/// advance, so no order of waits can block two ranks on each other.
class Progress {
 public:
  virtual ~Progress() = default;
  void add(Advancing& operation) { active_.push_back(&operation); }
  void remove(Advancing& operation) { std::erase(active_, &operation); }
  void advance_all();
  /// Some of them, the next ones each time: what a new operation may cost whatever is under way.
  void advance_some();
  /// Returns when `operation` is complete; throws, or ends the job, when that takes longer than the
  /// limit. `meanwhile`, where given, is called again and again.
  void wait_for(Advancing& operation, const std::function<void()>& meanwhile);
  /// Waiting has failed for good: nothing that is still under way will complete.
  virtual bool broken() const = 0;
  /// This rank gives up an unfinished operation while an exception unwinds it: others must not wait
  /// for it.
  virtual void give_up(const std::string& description) = 0;
  /// Busy's (dist/communicator.h); nothing to do where no wait has a limit.
  virtual void begin_busy(const std::string& what) { static_cast<void>(what); }
  virtual void end_busy() {}
  /// Communicator's.
  virtual Liveness* liveness() { return nullptr; }
  /// By this rank so far, in wait_for.
  double seconds_waited() const { return seconds_waited_; }
  core::MemoryPool& pool() { return pool_; }

 protected:
  struct Wait {
    const Advancing& operation;
    double seconds;    ///< since it began
    int64_t attempts;  ///< to advance, so far
    bool polls;        ///< something else must be looked at soon, whatever arrives
  };
  /// A number that changes when something arrives; idle() returns at once if it has changed since.
  virtual uint64_t arrivals() = 0;
  /// Lets time pass until something may have changed; called with growing `attempts`.
  virtual void idle(const Wait& wait, uint64_t arrivals_seen) = 0;
  virtual void finished_waiting() = 0;
  /// A warning: the limit has passed, but those that are waited for are busy.
  static void tell_that_it_goes_on(const Wait& wait, const std::string& busy_ranks);

 private:
  bool advance_at(size_t place);  // true if it is complete, and no longer there

  std::vector<Advancing*> active_;
  size_t next_ = 0;  // advance_some's
  double seconds_waited_ = 0;
  core::MemoryPool pool_{core::Device{}};
};

/// Collectives have their own space of tags, so they never meet a user's messages.
enum class Channel { kPointToPoint, kCollective };

struct Envelope {
  Channel channel = Channel::kPointToPoint;
  int peer = 0;
  int tag = 0;
};

/// How a group falls apart; computed alike on every rank.
struct Partition {
  int part = 0;              ///< this rank's part, numbered from 0
  int new_rank = 0;          ///< this rank's place in its part
  std::vector<int> members;  ///< old ranks of this rank's part in their new order
};

class Transport {
 public:
  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual Progress& progress() = 0;
  virtual std::unique_ptr<Message> start_send(const Envelope& to, const void* data,
                                              int64_t bytes) = 0;
  virtual std::unique_ptr<Message> start_receive(const Envelope& from, void* data,
                                                 int64_t bytes) = 0;
  virtual std::unique_ptr<Transport> split(const Partition& partition) = 0;
};

}  // namespace longhaul::dist
