#include "launch/babilong_kind.h"

#include <algorithm>
#include <filesystem>

#include "data/tasks/babi_file.h"
#include "data/tasks/babilong_prompts.h"
#include "data/tasks/babilong_task.h"
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
    if (!is_for_evaluation_) {
      v.paths(
          "test_stories", test_stories_,
          "such files or folders for evaluations; empty: `stories`, of a folder its test files");
    }
    v.path("prompts", prompts_,
           "YAML with the words around the context (layout, answer; qa1: instruction, examples, "
           "post_prompt, …), such as the benchmark's own; empty: those built in");
    v.field("shots", shots_,
            "worked examples before the context; -1: all (built in: as many as the benchmark)",
            core::AtLeast{-1});
    v.field("instruction", instruction_, "say what is to be done, before the context");
  }
  core::Problems problems() const override {
    if (!stories_.empty()) return {};
    return {is_for_evaluation_ ? "stories: is not given, and no run names stories"
                               : "stories: is not given; data.kind babilong reads bAbI files"};
  }
  std::vector<data::SameData> same_data() const override {
    const Paths& asked = test_stories_.empty() ? stories_ : test_stories_;
    Paths same;
    for (const std::string& path : stories_) {
      const bool is_asked = std::ranges::find(asked, path) != asked.end();
      if (is_asked && !std::filesystem::is_directory(path)) same.push_back(path);
    }
    if (same.empty()) return {};
    return {{.value = joined(same), .setting = "data.babilong.test_stories"}};
  }
  std::string lengths_help() const override {
    return "tokens of a prompt, as 0,1024,4096; 0: the sentences alone";
  }

  std::vector<std::unique_ptr<data::Task>> make(const data::TaskInputs& inputs) const override {
    const data::BabilongPrompt prompt{
        .shots = shots_, .instruction = instruction_, .wording = read_babilong_wording(prompts_)};
    const std::string split = is_for_evaluation_ ? "test" : "train";
    std::vector<std::unique_ptr<data::Task>> tasks;
    for (const std::string& path : stories_) {
      for (const auto& file : data::find_babi_files(path, split, data::kBabilongTasks)) {
        tasks.push_back(
            data::make_babilong_task(file, *inputs.tokenizer, inputs.background, prompt));
      }
    }
    return tasks;
  }

 private:
  Paths stories_, test_stories_;
  std::string prompts_;
  int64_t shots_ = -1;
  bool instruction_ = true, is_for_evaluation_ = false;
};

}  // namespace

std::unique_ptr<data::TaskKind> make_babilong_kind() { return std::make_unique<BabilongKind>(); }

}  // namespace longhaul::launch
