#include "eval/sequences.h"

#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

/// InputError for options out of range.
void check_numbers(const CurveOptions& options) {
  std::vector<std::string> problems;
  const auto at_least_one = [&](const char* name, int64_t value) {
    if (value < 1) {
      problems.push_back(core::message("evaluation ", name, ": must be at least 1, is ", value));
    }
  };
  at_least_one("length", options.length);
  at_least_one("sequences", options.sequences);
  at_least_one("piece", options.piece);
  at_least_one("batch", options.batch);
  if (options.window != 0 && options.window < 2) {
    problems.push_back(
        core::message("evaluation window: must be at least 2 tokens, is ", options.window));
  }
  if (!problems.empty()) throw core::InputError(problems);
}

}  // namespace

Sequences text_sequences(const data::TokenData& folder, const CurveOptions& options) {
  check_numbers(options);
  data::LongWindows windows = data::find_long_windows(folder, options.length, options.sequences,
                                                      options.seed, options.windows);
  const int64_t count = std::ssize(windows.begins);
  return {.count = count,
          .task = "text",
          .source = folder.path().string(),
          .reader_of =
              [&folder, begins = std::move(windows.begins)](int64_t sequence) {
                return text_reader(folder, begins.at(static_cast<size_t>(sequence)));
              },
          .vocabulary = folder.vocabulary(),
          .whole_documents = windows.whole_documents,
          // Of one document there is no border to cross.
          .inside_documents = windows.inside_documents || folder.documents() == 1,
          .windows = windows.inside_documents ? std::string(data::name_of(options.windows)) : "",
          .identity = {{"tokens", std::to_string(folder.fingerprint())},
                       {"windows", std::string(data::name_of(options.windows))}}};
}

Sequences recall_sequences(const data::RecallTask& asked, const CurveOptions& options) {
  check_numbers(options);
  data::RecallTask task = asked;
  task.label_all = false;  // of training alone: what cannot be known is no answer
  return {.count = options.sequences,
          .task = "recall",
          .source = "recall task",
          .reader_of =
              [task, seed = options.seed](int64_t sequence) {
                return recall_reader(task, seed, static_cast<uint64_t>(sequence));
              },
          .vocabulary = task.vocabulary(),
          .most_reach = task.reach,
          .identity = {
              {"recall", core::message(task.keys, " keys, ", task.values, " values, reach ",
                                       task.reach, ", query fraction ", task.query_fraction)}}};
}

void check(const CurveOptions& options, const Sequences& sequences,
           const model::LanguageModel& model) {
  check_numbers(options);
  if (sequences.vocabulary <= model.config().vocabulary) return;
  throw core::InputError(core::message(sequences.source, ": needs a vocabulary of ",
                                       sequences.vocabulary, ", the model's has ",
                                       model.config().vocabulary));
}

Continuation continuation_of(const std::string& measure, const CurveOptions& options,
                             const Sequences& sequences, const dist::Mesh& mesh,
                             const model::LanguageModel& model) {
  Continuation result = options.continuation;
  const auto add = [&](const char* name, const auto& value) {
    result.identity.emplace_back(name, core::message(value));
  };
  add("measure", measure);
  add("task", sequences.task);
  result.identity.insert(result.identity.end(), sequences.identity.begin(),
                         sequences.identity.end());
  add("length", options.length);
  // Curves only note it.
  if (measure != "perplexity") add("training length", options.training_length);
  add("sequences", sequences.count);
  add("seed", options.seed);
  add("states", options.states ? "with" : "without");
  if (options.window > 0) add("window", options.window);
  add("piece", options.piece);
  add("batch", options.batch);
  add("data ranks", mesh.shape().data);
  add("sequence ranks", mesh.shape().sequence);
  add("dtype", core::name_of(model.dtype()));
  if (sequences.task == "text") result.notes.emplace_back("data", sequences.source);
  return result;
}

Identity sequences_read(const Identity& measured) {
  static const std::set<std::string> kDeciding{"task",   "tokens",    "windows", "recall",
                                               "length", "sequences", "seed"};
  Identity read;
  for (const auto& entry : measured) {
    if (kDeciding.contains(entry.first)) read.push_back(entry);
  }
  return read;
}

std::string shortage(int64_t count, int64_t asked) {
  if (count >= asked) return "";
  return core::message(asked, " sequences were asked for: only ", count, " fit without overlap");
}

std::string shortage_line(int64_t count, int64_t asked) {
  const std::string text = shortage(count, asked);
  return text.empty() ? "" : text + "\n";
}

Readers readers_of(const Sequences& sequences, int64_t first, int64_t count) {
  Readers readers;
  for (int64_t i = 0; i < count; ++i) readers.push_back(sequences.reader_of(first + i));
  return readers;
}

double standard_error(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  if (n < 2) return std::numeric_limits<double>::quiet_NaN();
  double mean = 0, squares = 0;
  for (double value : values) mean += value / n;
  for (double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / (n - 1) / n);
}

}  // namespace longhaul::eval
