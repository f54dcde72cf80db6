// Trials of a task: the prompt is read piece by piece into a state of constant size, the answer
// continues from there, token by token, always the most likely one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/tasks/task.h"
#include "dist/mesh.h"
#include "eval/tasks/answer_scorer.h"
#include "eval/tasks/task_result.h"
#include "eval/unit_run.h"
#include "model/language_model.h"

namespace longhaul::eval {

/// What is measured by itself: all of a task, or one of its files. Both must outlive the
/// evaluation.
struct TaskPart {
  std::string name;  ///< "" where a task has no parts
  const data::Task& task;
  const AnswerScorer& scorer;
};

struct TaskOptions {
  std::string task;              ///< what the result calls it
  std::vector<int64_t> lengths;  ///< tokens of a prompt, as data::ExampleRequest has them
  std::vector<double> depths;    ///< asked for; empty: drawn by the task
  bool depth_matters = true;     ///< drawn depths: cells for each fifth of them
  int64_t trials = 100;  ///< of each part, length and depth; fewer where it has fewer questions
  int64_t piece = 2048;  ///< tokens of a prompt read at a time, over its sequence ranks
  int64_t batch = 8;     ///< trials run side by side on a data rank
  uint64_t seed = 0;     ///< a trial is a function of (seed, length, depth, number)
  std::string model;     ///< only noted
  int64_t training_length = 0;  ///< only noted
  const model::RecurrentState* start =
      nullptr;  ///< of one sequence: what each prompt begins from, else zeros
  Continuation continuation;
};

/// Collective over the mesh: trials are dealt to data ranks, pieces sharded over sequence ranks.
/// The result is the same on every rank, and for every mesh where rounding decides no arg max.
/// Throws Interrupted where options.continuation says so.
TaskResult evaluate_task(const dist::Mesh& mesh, model::LanguageModel& model,
                         const std::vector<TaskPart>& parts, const TaskOptions& options);

}  // namespace longhaul::eval
