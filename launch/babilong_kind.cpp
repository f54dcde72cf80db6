#include "launch/babilong_kind.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "data/tasks/babi_file.h"
#include "data/tasks/babilong_prompts.h"
#include "data/tasks/babilong_task.h"
#include "kernels/core/error.h"
#include "launch/babilong_wording.h"

namespace longhaul::launch {

namespace {

using Paths = std::vector<std::string>;

std::string joined(const Paths& paths) {
  std::string text;
  for (const std::string& path : paths) text += (text.empty() ? "" : ", ") + path;
  return text;
}

class BabilongKind final : public data::TaskKind {
 public:
  std::string name() const override { return "babilong"; }
  std::string help() const override {
    return "Questions about sentences hidden in long text (BABILong), by length";
  }
  std::unique_ptr<TaskKind> clone() const override { return std::make_unique<BabilongKind>(*this); }
  std::unique_ptr<TaskKind> for_evaluation() const override {
    auto kind = std::make_unique<BabilongKind>(*this);
    if (!test_stories_.empty()) kind->stories_ = test_stories_;
    kind->test_stories_.clear();
    kind->is_for_evaluation_ = true;
    return kind;
  }
  bool has_words() const override { return true; }
  bool is_in_text() const override { return true; }

  void visit(core::FieldVisitor& v) override {
    v.paths("stories", stories_,
            "files of the bAbI tasks qa1 to qa6, or folders with qa1_*_train.txt, qa1_*_test.txt "
            "and so on (longhaul stories writes such)");
    v.path("prompts", prompts_,
           "YAML with the words around the context (layout, answer; qa1: instruction, examples, "
           "post_prompt, …), such as the benchmark's own; empty: those built in");
    v.field("shots", shots_,
            "worked examples before the context; -1: all (built in: as many as the benchmark)",
            core::AtLeast{-1});
    v.field("instruction", instruction_, "say what is to be done, before the context");
  }
  void visit_evaluation(core::FieldVisitor& v) override {
    v.paths("stories", test_stories_,
            "babilong: such files or folders; empty: data.babilong.stories, of a folder its test "
            "files");
  }
  core::Problems problems() const override {
    if (!stories_.empty()) return {};
    return {is_for_evaluation_ ? "stories: is not given, and no run names stories"
                               : "stories: is not given; data.kind babilong reads bAbI files"};
  }
  data::SameData same_data(const TaskKind& asked) const override {
    const Paths own = files();
    Paths same;
    for (const std::string& file : dynamic_cast<const BabilongKind&>(asked).files()) {
      const bool is_own = std::ranges::any_of(own, [&](const std::string& each) {
        std::error_code none;
        return each == file || std::filesystem::equivalent(each, file, none);
      });
      if (is_own) same.push_back(file);
    }
    return {.files = joined(same), .setting = "evaluation.stories"};
  }
  std::string example() const override {
    return "--stories tasks/en-10k --data tokens --lengths 0,1024,4096,16384";
  }
  std::string lengths_help() const override {
    return "tokens of a prompt, as 0,1024,4096; 0: the sentences alone";
  }

  std::vector<std::unique_ptr<data::Task>> make(const data::TaskInputs& inputs) const override {
    const data::BabilongPrompt prompt{
        .shots = shots_, .instruction = instruction_, .wording = read_babilong_wording(prompts_)};
    std::vector<std::unique_ptr<data::Task>> tasks;
    std::map<int, std::filesystem::path> files;  // by task
    for (const std::string& path : stories_) {
      for (const auto& file : data::find_babi_files(path, split(), data::kBabilongTasks)) {
        const auto [first, is_new] = files.try_emplace(data::babi_task_number(file), file);
        if (!is_new && is_for_evaluation_) {  // two answers to one question
          throw core::InputError(core::message("stories: ", file.string(), " and ",
                                               first->second.string(), " are both of qa",
                                               first->first, ", expected one"));
        }
        tasks.push_back(
            data::make_babilong_task(file, *inputs.tokenizer, inputs.background, prompt));
      }
    }
    return tasks;
  }

 private:
  /// As far as they are there.
  Paths files() const {
    Paths found;
    for (const std::string& path : stories_) {
      try {
        for (const auto& file : data::find_babi_files(path, split(), data::kBabilongTasks)) {
          found.push_back(file.string());
        }
      } catch (const core::InputError&) {  // told where they are read
      }
    }
    return found;
  }
  std::string split() const { return is_for_evaluation_ ? "test" : "train"; }

  Paths stories_, test_stories_;
  std::string prompts_;
  int64_t shots_ = -1;
  bool instruction_ = true, is_for_evaluation_ = false;
};

}  // namespace

std::unique_ptr<data::TaskKind> make_babilong_kind() { return std::make_unique<BabilongKind>(); }

}  // namespace longhaul::launch
