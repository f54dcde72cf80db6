// BABILong (Kuratov et al. 2024): the sentences of a bAbI story, in order, at random places between
// the sentences of a long text, then the story's question.
#pragma once

#include <filesystem>
#include <memory>

#include "data/tasks/babilong_prompts.h"
#include "data/tasks/background_text.h"
#include "data/tasks/task.h"
#include "data/tokenizer.h"

namespace longhaul::data {

struct BabilongPrompt {
  int64_t shots = -1;       ///< worked examples before the context; −1: all
  bool instruction = true;  ///< say what is to be done, before the context
  BabilongWording wording = built_in_babilong_wording();
};

/// Of one file of the bAbI tasks (data/tasks/babi_file.h), whose name says which. Examples of
/// length 0 have no text between the facts and the length that comes of it; of others the story is
/// drawn among those that fit. Labels are the answers of the file. `depth` cannot be chosen (−1).
/// The rest must outlive the task; `background` may be absent, then there is length 0 only.
std::unique_ptr<Task> make_babilong_task(const std::filesystem::path& file,
                                         const Tokenizer& tokenizer,
                                         const BackgroundText* background,
                                         const BabilongPrompt& prompt);

}  // namespace longhaul::data
