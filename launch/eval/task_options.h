// What `eval passkey`, `babilong` and `copy` have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "data/tokenizer.h"
#include "eval/tasks/task_evaluation.h"
#include "kernels/core/error.h"
#include "launch/eval/measure.h"

namespace longhaul::launch {

/// InputError where a value is given twice: its questions would be counted twice.
template <class T>
void expect_each_once(const char* option, std::vector<T> values) {
  std::ranges::sort(values);
  const auto twice = std::ranges::adjacent_find(values);
  if (twice == values.end()) return;
  throw core::InputError(core::message(option, ": ", *twice, " is given twice"));
}

struct TaskCommandOptions {
  std::vector<int64_t> lengths;
  int64_t trials = 100;

  /// `help` says what lengths are; returns --lengths.
  CLI::Option* describe(CLI::App& command, const std::string& help);
  eval::TaskOptions resolve(const EvalJob& job, const std::string& task) const;
};

/// What `passkey` and `babilong` read words with.
struct TokenizerOptions {
  std::string specification;
  bool other = false;

  void describe(CLI::App& command);
  /// The tokenizer that `specification` names, else the model's own (launch/model_tokenizer.h).
  /// InputError where the model's vocabulary is smaller, or of another tokenizer.
  std::unique_ptr<data::Tokenizer> make(const EvalJob& job) const;
};

/// On the first rank.
void write_and_print(const EvalJob& job, const eval::TaskResult& result);

}  // namespace longhaul::launch
