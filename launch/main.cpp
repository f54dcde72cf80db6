// The program: starts the ranks, runs one command, turns failures into exit codes (0 done, 1 failed
// while running, 2 wrong usage or input, 75 interrupted and saved).
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "launch/build_text.h"
#include "launch/command.h"
#include "launch/command_options.h"
#include "launch/rank_session.h"

namespace {

using namespace longhaul::launch;  // NOLINT(google-build-using-namespace)

std::vector<std::unique_ptr<Command>> make_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(make_tokenize_command());
  commands.push_back(make_detokenize_command());
  commands.push_back(make_stories_command());
  commands.push_back(make_train_command());
  commands.push_back(make_check_command());
  commands.push_back(make_eval_command());
  commands.push_back(make_forward_command());
  commands.push_back(make_import_command());
  commands.push_back(make_export_command());
  commands.push_back(make_generate_command());
  commands.push_back(make_report_command());
  commands.push_back(make_inspect_command());
  commands.push_back(make_status_command());
  commands.push_back(make_sweep_command());
  return commands;
}

int run(int argc, char** argv, RankSession& session) {
  CLI::App program{
      "longhaul post-trains recurrent language models to work far beyond the length "
      "they were trained on."};
  program.name("longhaul");
  program.require_subcommand(1);
  program.set_version_flag("--version", build_text);
  const auto commands = make_commands();
  for (const auto& command : commands) command->describe(program);
  check_command_names(program, {argv + 1, argv + argc});
  try {
    program.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return session.is_first() ? program.exit(help) : 0;
  } catch (const CLI::ParseError& error) {
    check_option_names(program);
    throw longhaul::core::InputError(std::string(error.what()) + " (see --help)");
  }
  for (const auto& command : commands) {
    if (command->chosen() && (session.is_first() || command->uses_ranks())) {
      return command->run(session);
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  RankSession session(&argc, &argv);
  const LogSession log(argv[0], session);
  return session.run([&] { return session.check_output(run(argc, argv, session)); });
}
