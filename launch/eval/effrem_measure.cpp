#include "eval/effrem.h"

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
    publish(job, eval::format_table(result),
            [&](const std::string& file) { eval::write_effrem(file, result); });
  }
};

}  // namespace

std::unique_ptr<Measure> make_effrem_measure() { return std::make_unique<EffRemMeasure>(); }

}  // namespace longhaul::launch
