// The words around BABILong's context from a YAML file (configs/small/few_shot/prompts.yaml is
// one): `layout` and `answer` as data::BabilongWording has them, and for each of qa1 to qa6
// `instruction`, `examples` (a list, or one text) and `post_prompt`.
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
