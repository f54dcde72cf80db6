#include "launch/babilong_wording.h"

#include <array>

#include "kernels/core/error.h"
#include "launch/yaml_document.h"
#include "launch/yaml_reader.h"

namespace longhaul::launch {

namespace {

const std::array<std::string, data::kBabilongTasks>& task_names() {
  static const auto names = [] {
    std::array<std::string, data::kBabilongTasks> made;
    for (size_t i = 0; i < made.size(); ++i) made[i] = core::message("qa", i + 1);
    return made;
  }();
  return names;
}

class WordingReader {
 public:
  explicit WordingReader(YamlDocument& document) : document_(document), reader_(document) {}

  data::BabilongWording read() {
    reader_.field("layout", wording_.layout, "");
    reader_.field("answer", wording_.answer, "");
    for (size_t i = 0; i < wording_.tasks.size(); ++i) {
      const std::string& name = task_names()[i];
      if (document_.child(document_.root(), name) == nullptr) continue;
      wording_.tasks[i] = {};
      Task task{document_, name, wording_.tasks[i]};
      reader_.section(name.c_str(), task);
    }
    reader_.finish();
    check("layout", data::problem_of_layout(wording_.layout));
    check("answer", data::problem_of_answer(wording_.answer));
    return std::move(wording_);
  }

 private:
  struct Task {
    YamlDocument& document;
    const std::string& name;
    data::BabilongWords& words;

    void visit(YamlReader& reader) {
      reader.field("instruction", words.instruction, "");
      const YamlNode* task = document.child(document.root(), name);
      const YamlNode* examples = document.child(*task, "examples");
      if (examples != nullptr && examples->kind == YamlNode::Kind::kScalar)
        reader.field("examples", words.examples.emplace_back(), "");
      else
        reader.field("examples", words.examples, "");
      reader.field("post_prompt", words.post_prompt, "");
    }
  };

  void check(const std::string& path, const std::string& problem) {
    if (!problem.empty() && !document_.has_problem(path))
      document_.report(document_.line_of(path), path, problem);
  }

  YamlDocument& document_;
  YamlReader reader_;
  data::BabilongWording wording_ = data::built_in_babilong_wording();
};

}  // namespace

data::BabilongWording parse_babilong_wording(const std::string& text, const std::string& name) {
  YamlDocument document(text, name);
  data::BabilongWording wording = WordingReader(document).read();
  if (const core::Problems problems = document.problems(); !problems.empty())
    throw core::InputError(problems);
  return wording;
}

data::BabilongWording read_babilong_wording(const std::string& path) {
  if (path.empty()) return data::built_in_babilong_wording();
  return parse_babilong_wording(read_yaml_text(path, "prompts"), path);
}

}  // namespace longhaul::launch
