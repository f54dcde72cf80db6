// BABILong (Kuratov et al. 2024): the sentences of a bAbI story, in order, at random places between
// the sentences of a long text, then the story's question.
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "data/tasks/babilong_prompts.h"
#include "data/tasks/background_text.h"
#include "data/tasks/task.h"
#include "data/tokenizer.h"
#include "kernels/core/fields.h"

namespace longhaul::data {

struct BabilongPrompt {
  int64_t shots = -1;
  bool instruction = true;
  BabilongWording wording = built_in_babilong_wording();

  template <class V>
  void visit(V& v) {
    v.field("shots", shots,
            "worked examples before the context; -1: all (built in: as many as the benchmark)",
            core::AtLeast{-1});
    v.field("instruction", instruction, "say what is to be done, before the context");
  }
};

class BabilongTask : public Task {
 public:
  /// Answers of the file's questions, in lower case: what an answer may say.
  virtual const std::set<std::string>& labels() const = 0;
};

/// Of one file of the bAbI tasks (data/tasks/babi_file.h), whose name says which. Examples of
/// length 0 have no text between the facts and the length that comes of it; of others the story is
/// drawn among those that fit. `depth` cannot be chosen (−1). The rest must outlive the task;
/// `background` may be absent, then there is length 0 only.
std::unique_ptr<BabilongTask> make_babilong_task(const std::filesystem::path& file,
                                                 const Tokenizer& tokenizer,
                                                 const BackgroundText* background,
                                                 const BabilongPrompt& prompt);

/// Each row is one of a task drawn evenly. At least one; all of one tokenizer.
std::unique_ptr<Task> make_mixture(std::string name, std::vector<std::unique_ptr<Task>> tasks);

}  // namespace longhaul::data
