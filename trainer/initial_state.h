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
  int64_t first_sequence = 0;  ///< global number of this rank's first row within the micro-step
  const std::vector<uint8_t>* fresh =
      nullptr;  ///< rows that do not continue the row before (data::Batch)
};

/// For each micro-step initial(), then (once backward is done) keep(). Under sequence parallelism
/// the source runs on every rank of the group with the same numbers; the model reads the first
/// rank's state.
class InitialStateSource {
 public:
  virtual ~InitialStateSource() = default;
  /// The states this micro-step starts from. Valid until keep() or the next initial(). Collective
  /// over the data ranks.
  virtual const model::RecurrentState& initial(const SourceStep& step) = 0;
  /// Takes the final states of the micro-step: detached, finite, the true ones on every rank of
  /// the sequence group. Left out, on all ranks alike, where they are not finite: the source then
  /// goes on from what it had. Collective over the data ranks.
  virtual void keep(const SourceStep& step, const model::RecurrentState& final_state) = 0;
  /// Whether keep() needs final states at all.
  virtual bool uses_final_states() const = 0;
  /// Everything that the next steps depend on, for the training checkpoint, which also writes to
  /// the views when it restores them. `per_row`: the first extent is this rank's rows (else the
  /// tensor is the same on all ranks).
  struct NamedTensor {
    std::string name;
    core::TensorView view;
    bool per_row = false;
  };
  virtual std::vector<NamedTensor> stored() = 0;
};

/// `group`: all data ranks, in the order of their rows: moments are reduced over them (fitted
/// noise) and states travel between them (state passing). `batch`: rows of a micro-step on this
/// rank, the same on all. The references must outlive the source.
struct SourceSetup {
  core::Context& context;
  const std::vector<model::StateSpec>& specs;
  core::DType state_dtype = core::DType::kF32;
  dist::Communicator& group;
  int64_t batch = 1;
  uint64_t seed = 0;
};
/// States of a micro-batch that a source keeps memory for.
int states_held(SourceKind kind);
std::unique_ptr<InitialStateSource> make_source(const InitialStateConfig& config,
                                                const SourceSetup& setup);

}  // namespace longhaul::trainer
