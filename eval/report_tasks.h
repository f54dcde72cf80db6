// Tasks with answers in the report: accuracy by length, heat maps of length and depth, sentences.
#pragma once

#include <string>
#include <vector>

#include "eval/figure.h"
#include "eval/line_up.h"
#include "eval/run_folder.h"
#include "eval/task_section.h"
#include "eval/tasks/task_result.h"

namespace longhaul::eval {

/// One task (and, where runs have several results of it, one name of files) over all arms. Points
/// into `runs`.
std::vector<LinedUp<TaskResult>> task_sections(const std::vector<RunFolder>& runs);

std::string task_title(const LinedUp<TaskResult>& section);  ///< not escaped
/// `index` numbers the sections of the page.
std::string task_html(const LinedUp<TaskResult>& section, const Figures& figures, size_t index);
/// Plain sentences (not escaped), the comparison of all arms first.
std::vector<std::string> task_findings(const LinedUp<TaskResult>& section,
                                       const std::vector<std::string>& arms);

}  // namespace longhaul::eval
