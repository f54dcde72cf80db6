// A measure: one sub-command of `longhaul eval`, in a file of its own. EvalCommand loads the model
// and deals out the ranks; a measure says its options and measures.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dist/mesh.h"
#include "eval/sequences.h"
#include "eval/unit_run.h"
#include "launch/command_options.h"
#include "launch/run_config.h"
#include "model/language_model.h"

namespace longhaul::launch {

/// What every measure takes.
struct EvalOptions {
  std::string model;          ///< run, model folder, training checkpoint or GGUF file
  std::string json;           ///< file for the result; "": none
  std::string run;            ///< a run.yaml; "": that of the run that the model lies in, if any
  std::string initial_state;  ///< file of states (launch/forward_files.h); "": zeros
  int64_t piece = 2048, batch = 8;
  int64_t sequence_ranks = 1;
  int64_t training_length = 0;  ///< 0: of the run
  int64_t seed = 1;
  ComputeOptions compute;

  void describe(CLI::App& command);
};

struct EvalJob;

/// What measures on sequences take besides.
struct SequenceOptions {
  int64_t length = 0, sequences = 0;

  void describe(CLI::App& command);
  eval::CurveOptions resolve(const EvalJob& job) const;
};

/// Tokens to measure on.
struct TextOptions {
  std::string data;
  data::TokenDataOptions file;
  std::string windows = "document";
  bool other_tokenizer = false;

  /// Returns --data, which is required unless the caller says otherwise.
  CLI::Option* describe(CLI::App& command);
  /// Of measures over positions: --windows.
  void describe_windows(CLI::App& command);
  data::WindowBegin window_begin() const;
  /// InputError where the tokens are more than the model knows, or others.
  std::unique_ptr<data::TokenData> open(const model::LanguageModel& model,
                                        const std::string& model_name) const;
  /// Whether these are the tokens that the run names as its training data, as far as that is still
  /// there.
  bool are_trained_on(const data::TokenData& tokens, const RunConfig& run) const;
};

/// What a measure works with, the same on every rank.
struct EvalJob {
  const EvalOptions& options;
  const dist::Mesh& mesh;
  model::LanguageModel& model;
  const model::RecurrentState* start =
      nullptr;                  ///< of one sequence: what each begins from, else zeros
  int64_t training_length = 0;  ///< 0: not known
  bool is_first = false;        ///< the rank that writes and prints
  eval::Continuation continuation;
};

/// On the first rank: prints the table and has the result written where it is wanted. What was kept
/// of it on the way goes only then: where writing fails nothing is lost.
void publish(const EvalJob& job, const std::string& table,
             const std::function<void(const std::string& file)>& write);

class Measure {
 public:
  virtual ~Measure() = default;
  /// Adds itself to `eval`; the options that all share are bound to `options`.
  virtual void describe(CLI::App& eval, EvalOptions& options) = 0;
  virtual bool chosen() const = 0;
  /// Before the model is loaded; InputError for what can be seen to be wrong by then.
  virtual void prepare(const EvalOptions& options, const std::optional<RunConfig>& run) {
    static_cast<void>(options), static_cast<void>(run);
  }
  /// Collective. The first rank writes options.json (its folder is there) and prints a table.
  virtual void run(const EvalJob& job) = 0;
};

std::unique_ptr<Measure> make_perplexity_measure();
std::unique_ptr<Measure> make_recall_measure();
std::unique_ptr<Measure> make_effrem_measure();
std::unique_ptr<Measure> make_states_measure();
/// One for each kind of task (launch/task_settings.h).
std::vector<std::unique_ptr<Measure>> make_task_measures();
/// All of them, in the order of --help.
std::vector<std::unique_ptr<Measure>> make_measures();

}  // namespace longhaul::launch
