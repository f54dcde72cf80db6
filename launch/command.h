// A sub-command of the program.
#pragma once

#include <memory>
#include <vector>

namespace CLI {
class App;
}

namespace longhaul::launch {

class RankSession;

class Command {
 public:
  virtual ~Command() = default;
  /// Adds itself, with its options and an example, to the program.
  virtual void describe(CLI::App& program) = 0;
  virtual bool chosen() const = 0;
  /// Whether every rank runs it; otherwise the first one alone.
  virtual bool uses_ranks() const { return false; }
  /// Exit code. InputError and Error are for main to tell.
  virtual int run(RankSession& session) = 0;
};

std::unique_ptr<Command> make_tokenize_command();
std::unique_ptr<Command> make_detokenize_command();
std::unique_ptr<Command> make_stories_command();
std::unique_ptr<Command> make_train_command();
std::unique_ptr<Command> make_check_command();
std::unique_ptr<Command> make_eval_command();
std::unique_ptr<Command> make_forward_command();
std::unique_ptr<Command> make_import_command();
std::unique_ptr<Command> make_export_command();
std::unique_ptr<Command> make_generate_command();
std::unique_ptr<Command> make_report_command();
std::unique_ptr<Command> make_inspect_command();
std::unique_ptr<Command> make_status_command();
std::unique_ptr<Command> make_sweep_command();

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kWrongInput = 2;
inline constexpr int kInterrupted = 75;  ///< EX_TEMPFAIL: saved, start it again

}  // namespace longhaul::launch
