// The words around BABILong's context from a YAML file:
//   layout:
//   "{instruction}\n\n{examples}\n\n{post_prompt}\n\n<context>\n{context}\n</context>\n\nQuestion:
//   {question}" answer: "\nAnswer: {answer}." qa1:
//     instruction: Some sentences of the text say where somebody went. ...
//     examples: ["<example>\nAnna went home. Where is Anna?\nAnswer: home.\n</example>"]   (or one
//     text) post_prompt: Answer with one word.
#pragma once

#include <string>
#include <vector>

#include "data/tasks/babilong_prompts.h"

namespace longhaul::launch {

/// Tasks that the file says nothing of, layout and answer are as they are built in; of a task that
/// it names, what is not given is empty. An empty path: what is built in. InputError naming file,
/// line and key of each problem.
data::BabilongWording read_babilong_wording(const std::string& path);
data::BabilongWording parse_babilong_wording(const std::string& text, const std::string& name);

}  // namespace longhaul::launch
