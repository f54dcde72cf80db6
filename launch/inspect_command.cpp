#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <string>

#include "launch/command.h"
#include "launch/inspection.h"

namespace longhaul::launch {

namespace {

class InspectCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand(
        "inspect",
        "What is in a model, checkpoint, run or token folder, or safetensors, torch or GGUF file");
    command_->add_option("path", path_, "folder or file")->required();
    command_->add_flag("--verify", verify_,
                       "read every file of a training checkpoint, or of all those of a run, and "
                       "compare with the manifest's sizes and checksums");
    command_->footer("Example:\n  longhaul inspect runs/zero");
  }
  bool chosen() const override { return command_->parsed(); }

  int run(RankSession&) override {
    if (verify_) {
      std::cout << verify(path_) << std::flush;
      return kDone;
    }
    std::cout << inspect(path_) << std::flush;
    return kDone;
  }

 private:
  CLI::App* command_ = nullptr;
  std::string path_;
  bool verify_ = false;
};

}  // namespace

std::unique_ptr<Command> make_inspect_command() { return std::make_unique<InspectCommand>(); }

}  // namespace longhaul::launch
