// Who is still there when an operation runs out of time.
#pragma once

#include <memory>
#include <string>

namespace longhaul::dist {

/// Ranks that wait answer questions; ranks that hang, are stopped or compute do not. Lives on its
/// own duplicate of the world, so its messages meet no others. Made and destroyed collectively.
class MpiLiveness {
 public:
  MpiLiveness();
  ~MpiLiveness();

  /// What a waiting rank does now and then: answers the questions that have come. `status`: what it
  /// is waiting in.
  void answer_questions(const std::string& status);
  /// Asks everybody. answer_questions() collects the answers too.
  void ask(const std::string& status);
  void stop_asking();
  bool asking() const;
  /// A lower rank asked too, so it ran out of time as well and will report; this rank need not.
  bool lower_rank_asked() const;
  /// "no answer from rank 1 (host a), 3 (host b)"; if all answered, what they wait in.
  std::string findings() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace longhaul::dist
