// Who is still there when an operation runs out of time.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace longhaul::dist {

/// Ranks that wait answer questions, and busy ones (dist/communicator.h); ranks that hang, are
/// stopped or compute do not. Lives on its own duplicate of the world, so its messages meet no
/// others. Made and destroyed collectively.
class MpiLiveness {
 public:
  /// What a rank answers: what it waits in, or what it is busy with.
  struct Status {
    std::string text;
    bool busy = false;
  };
  MpiLiveness();
  ~MpiLiveness();

  /// What a rank does now and then: answers the questions that have come.
  void answer_questions(const Status& own);
  /// Asks everybody. answer_questions() collects the answers too. `operation`: what this rank waits
  /// in.
  void ask(const std::string& operation);
  void stop_asking();
  /// Since another rank asked last, if it has not told what came of it.
  std::optional<double> seconds_since_asked() const;
  /// Whoever asked in an earlier wait need not tell.
  void forget_questions();
  /// For those that wait for what comes of it: all goes on.
  void tell_that_it_goes_on();
  /// Another rank has told so since the last call.
  bool was_told_that_it_goes_on();
  int size() const;
  bool asking() const;
  /// A lower rank asked too, so it ran out of time as well and will report; this rank need not.
  bool lower_rank_asked() const;
  /// "rank 1 (host a): writing the model"; empty where no rank is busy, or one did not answer.
  std::string busy_ranks() const;
  /// "no answer from rank 1 (host a), 3 (host b)"; if all answered, what they wait in.
  std::string findings() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace longhaul::dist
