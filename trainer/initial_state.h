// Where h₀ comes from: one small interface, five sources.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dist/communicator.h"
#include "model/recurrent_state.h"
#include "trainer/config.h"

namespace longhaul::trainer {

/// What a source may know about a micro-step. Sequences are numbered globally, so that results do
/// not depend on how they are spread over data ranks.
struct SourceStep {
  int64_t micro_step = 0;      ///< counted over the run
  int64_t first_sequence = 0;  ///< global number of this rank's first row within the step
  const std::vector<uint8_t>* fresh =
      nullptr;  ///< rows that do not continue the row before (data::Batch)
};

/// Calls alternate: initial(), then (once backward is done) keep(), for each micro-step. Under
/// sequence parallelism the source runs on every rank of the group with the same numbers; the model
/// reads the first rank's state.
class InitialStateSource {
 public:
  virtual ~InitialStateSource() = default;
  /// The states this micro-step starts from. Valid until keep().
  virtual const model::RecurrentState& initial(const SourceStep& step) = 0;
  /// Takes the final states of the micro-step (detached; the true ones on every rank of the group).
  virtual void keep(const SourceStep& step, const model::RecurrentState& final_state) = 0;
  /// Whether keep() needs final states at all.
  virtual bool uses_final_states() const = 0;
  /// Everything that the next steps depend on, as named tensors for the training checkpoint.
  struct NamedTensor {
    std::string name;
    core::TensorView view;
  };
  virtual std::vector<NamedTensor> stored() = 0;
};

/// `group`: the ranks over which moments are reduced for fitted noise (all data ranks). `batch`:
/// rows of a micro-step on this rank; `slots`: micro-steps of an optimizer step (each keeps its own
/// rows of the buffer).
struct SourceSetup {
  core::Context& context;
  const std::vector<model::StateSpec>& specs;
  core::DType state_dtype = core::DType::kF32;
  dist::Communicator& group;
  int64_t batch = 1;
  int64_t slots = 1;
  uint64_t seed = 0;
};
std::unique_ptr<InitialStateSource> make_source(const InitialStateConfig& config,
                                                const SourceSetup& setup);

}  // namespace longhaul::trainer
