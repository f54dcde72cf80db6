// How a rank waits over MPI. Private to dist/mpi_*.cpp.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "dist/message_transport.h"
#include "dist/mpi_liveness.h"

namespace longhaul::dist {

/// Polls: spins for microseconds, then gives the processor away (two ranks may share one), then
/// sleeps. Answers the questions of other ranks meanwhile; while this rank is busy a thread does,
/// and where it waits for something else whoever calls answer().
class MpiProgress final : public Progress, public Liveness {
 public:
  explicit MpiProgress(double time_limit_s);

  bool broken() const override { return gave_up_; }
  void give_up(const std::string&) override { gave_up_ = true; }  // MpiSession's end aborts the job
  void begin_busy(const std::string& what) override;
  void end_busy() override;
  Liveness* liveness() override { return this; }
  void answer(const std::string& doing, bool waits) override;
  void ask(const std::string& doing) override;
  std::optional<Findings> findings() override;
  double turn_s() const override;
  double grace_s() const override;

  void set_time_limit(double seconds) { time_limit_s_ = seconds; }
  void set_activity(const std::string& activity);
  /// Held in every call to MPI that a busy rank may make: MPI_THREAD_SERIALIZED is all it promises.
  std::mutex& mpi() { return mpi_; }

 private:
  uint64_t arrivals() override { return 0; }
  void finished_waiting() override;
  void idle(const Wait& wait, uint64_t arrivals_seen) override;
  void run_out_of_time(const Wait& wait);
  /// Another rank's question may still be decided for all.
  bool another_asks() const;
  [[noreturn]] void end_job(const Wait& wait);
  void answer_while_busy(const std::stop_token& stop);
  void answer_locked(const std::string& doing);
  std::string at_activity() const { return activity_.empty() ? "" : " at " + activity_; }

  std::atomic<double> time_limit_s_;  // read by a watchdog too
  std::string host_;
  int rank_ = 0;
  bool gave_up_ = false;
  // Of the current wait, in its seconds.
  double last_answer_s_ = 0;
  double asked_at_s_ = 0;
  double granted_s_ = 0;  // that do not count: somebody was busy

  std::mutex mpi_;  // guards what follows too
  MpiLiveness liveness_;
  std::string activity_;
  std::vector<std::string> busy_;  // innermost last
  bool waits_ = false;             // long enough that it answers itself
  std::mutex elsewhere_mutex_;
  std::string waits_elsewhere_;  // in what, if it does
  std::condition_variable_any changed_;
  std::jthread answering_;  // the last member: it uses the others
};

}  // namespace longhaul::dist
