#include "eval/effrem.h"

#include <iostream>

#include "launch/eval/any_sequences.h"

namespace longhaul::launch {

namespace {

class EffRemMeasure : public SequencesMeasure {
 public:
  EffRemMeasure()
      : SequencesMeasure(
            "effrem",
            "Effect of the first tokens on what follows the last (effective remembrance)") {}

 private:
  void measure(const EvalJob& job, const eval::Sequences& sequences,
               const eval::CurveOptions& options) override {
    const auto result = eval::evaluate_effrem(job.mesh, job.model, sequences, options);
    if (!job.is_first) return;
    if (!job.options.json.empty()) eval::write_effrem(job.options.json, result);
    std::cout << eval::format_table(result) << std::flush;
  }
};

}  // namespace

std::unique_ptr<Measure> make_effrem_measure() { return std::make_unique<EffRemMeasure>(); }

}  // namespace longhaul::launch
