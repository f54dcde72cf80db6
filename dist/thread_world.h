// The memory that the ranks of one process share: a mailbox a rank, and what each is waiting for.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/core/error.h"

namespace longhaul::dist {

/// A rank was released from a wait because another one failed: a consequence, never the cause.
class ReleasedError : public core::Error {
 public:
  using Error::Error;
};

/// Thread-safe. Outlives every communicator made on it.
class ThreadWorld {
 public:
  using Bytes = std::vector<char>;
  /// context (one for each group and channel), sending world rank, tag
  using Address = std::tuple<int64_t, int, int>;

  ThreadWorld(int ranks, double time_limit_s);

  int ranks() const { return static_cast<int>(mailboxes_.size()); }
  double time_limit_s() const { return time_limit_s_; }

  void deliver(int rank, const Address& address, Bytes bytes);
  /// A place in the line of receives at `address`: the n-th receive gets the n-th message, whoever
  /// looks first.
  int64_t expect(int rank, const Address& address);
  /// The message for `place`, or nothing yet. Throws ReleasedError once the world has failed.
  std::optional<Bytes> take(int rank, const Address& address, int64_t place);
  uint64_t arrivals(int rank);
  /// Until something arrives beyond `arrivals_seen`, the world fails, or `seconds` have passed.
  void wait_for_arrival(int rank, uint64_t arrivals_seen, double seconds);

  /// The context of part `part` of the `split`-th division of `parent`; the same for all who ask.
  int64_t context_of(int64_t parent, int64_t split, int part);

  /// The first failure counts; releases every waiting rank.
  void fail(const std::string& reason);
  bool failed() const;
  std::string failure() const;

  void set_waiting(int rank, const std::string& operation);  ///< empty: not waiting
  void set_busy(int rank, const std::string& what);          ///< empty: not busy
  /// Answers of ranks that wait for something else than messages, and their end.
  struct Doing {
    std::string what;
    bool waits = false;
  };
  void set_doing(int rank, const Doing& doing);
  void forget_doing(int asking);
  /// "rank 1: writing the model" of the ranks that are busy and wait for nobody; empty where there
  /// is none, or a rank that neither waits nor is busy.
  std::string busy_ranks() const;
  /// "no answer from rank 1, 2", or what the others wait for if all do.
  std::string missing_ranks(int asking) const;

 private:
  struct Line {
    int64_t expected = 0, delivered = 0;  // so far
    std::map<int64_t, Bytes> messages;    // delivered and not yet taken
  };
  struct Mailbox {
    std::mutex mutex;
    std::condition_variable arrived;
    std::map<Address, Line> lines;
    uint64_t arrivals = 0;
  };

  std::deque<Mailbox> mailboxes_;  // a deque: a mailbox cannot move
  double time_limit_s_;
  mutable std::mutex mutex_;  // never held together with a mailbox's
  std::map<std::tuple<int64_t, int64_t, int>, int64_t> contexts_;
  bool failed_ = false;
  std::string failure_;
  std::vector<std::string> waiting_, busy_;  // by rank
  std::vector<Doing> doing_;                 // likewise
};

}  // namespace longhaul::dist
