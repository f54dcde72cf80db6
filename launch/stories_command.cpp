#include <CLI/CLI.hpp>
#include <iostream>
#include <string>

#include "data/tasks/babi_world.h"
#include "launch/command.h"
#include "launch/command_options.h"

namespace longhaul::launch {

namespace {

class StoriesCommand : public Command {
 public:
  void describe(CLI::App& program) override {
    command_ = program.add_subcommand("stories",
                                      "Writes stories in the format of the bAbI tasks qa1 to qa6");
    command_->add_option("--out", output_, "folder to write")->required();
    command_
        ->add_option("--stories", stories_,
                     "stories of five questions, of each task, to train on (qa4: five times as "
                     "many, of one question)")
        ->check(whole_number(1) & CLI::Range(int64_t{1}, kMost))
        ->capture_default_str();
    command_->add_option("--test-stories", test_stories_, "stories of each task to measure on")
        ->check(whole_number(1) & CLI::Range(int64_t{1}, kMost))
        ->capture_default_str();
    command_->add_option("--seed", seed_, "of the stories")
        ->check(whole_number(0))
        ->capture_default_str();
    command_->footer("Example:\n  longhaul stories --out stories --stories 2000");
  }
  bool chosen() const override { return command_->parsed(); }

  int run(RankSession&) override {
    data::write_babi_world(output_, stories_, test_stories_, static_cast<uint64_t>(seed_));
    std::cout << output_ << ": " << data::babi_world_tasks().size() << " tasks of " << stories_
              << " + " << test_stories_ << " stories" << std::endl;
    return kDone;
  }

 private:
  static constexpr int64_t kMost = 1'000'000;
  CLI::App* command_ = nullptr;
  std::string output_;
  int64_t stories_ = 2000, test_stories_ = 200, seed_ = 1;
};

}  // namespace

std::unique_ptr<Command> make_stories_command() { return std::make_unique<StoriesCommand>(); }

}  // namespace longhaul::launch
