#include "eval/states.h"

#include "launch/eval/any_sequences.h"

namespace longhaul::launch {

namespace {

class StatesMeasure : public SequencesMeasure {
 public:
  StatesMeasure()
      : SequencesMeasure(
            "states",
            "Statistics of the states by position, layer and head; memory of each head (of a "
            "Mamba-1, of each layer's elements)") {}

 private:
  void measure(const EvalJob& job, const eval::Sequences& sequences,
               const eval::CurveOptions& options) override {
    const auto result = eval::evaluate_states(job.mesh, job.model, sequences, options);
    publish(job, eval::format_table(result),
            [&](const std::string& file) { eval::write_states(file, result); });
  }
};

}  // namespace

std::unique_ptr<Measure> make_states_measure() { return std::make_unique<StatesMeasure>(); }

}  // namespace longhaul::launch
