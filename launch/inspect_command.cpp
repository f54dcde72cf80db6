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
    command_->footer("Example:\n  longhaul inspect runs/zero");
  }
  bool chosen() const override { return command_->parsed(); }

  int run(RankSession&) override {
    std::cout << inspect(path_) << std::flush;
    return kDone;
  }

 private:
  CLI::App* command_ = nullptr;
  std::string path_;
};

}  // namespace

std::unique_ptr<Command> make_inspect_command() { return std::make_unique<InspectCommand>(); }

}  // namespace longhaul::launch
