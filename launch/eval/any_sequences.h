#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "eval/sequences.h"
#include "launch/eval/measure.h"
#include "launch/eval/recall_options.h"

namespace longhaul::launch {

/// Sequences of either task: text where --data is given, else associative recall.
struct AnySequences {
  SequenceOptions sequences;
  TextOptions text;
  RecallOptions recall;
  std::unique_ptr<data::TokenData> tokens;  ///< once opened

  void describe(CLI::App& command, EvalOptions& options);
  void choose(const EvalOptions& options, const std::optional<RunConfig>& run);
  /// Points into `tokens`.
  eval::Sequences open(const EvalJob& job, eval::CurveOptions options);
};

/// A sub-command on sequences of either task.
class SequencesMeasure : public Measure {
 public:
  void describe(CLI::App& eval, EvalOptions& options) override;
  bool chosen() const override { return command_->parsed(); }
  void prepare(const EvalOptions& options, const std::optional<RunConfig>& run) override;
  void run(const EvalJob& job) override;

 protected:
  SequencesMeasure(std::string name, std::string summary)
      : name_(std::move(name)), summary_(std::move(summary)) {}
  /// As Measure::run.
  virtual void measure(const EvalJob& job, const eval::Sequences& sequences,
                       const eval::CurveOptions& options) = 0;

 private:
  std::string name_, summary_;
  CLI::App* command_ = nullptr;
  AnySequences sequences_;
};

}  // namespace longhaul::launch
