// One layer of a recurrent language model, of whatever architecture (architecture.h).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dist/state_exchange.h"
#include "kernels/core/context.h"
#include "kernels/core/tensor.h"
#include "model/recurrent_state.h"

namespace longhaul::model {

/// How a model runs when its sequences are sharded over the ranks of a group: every rank passes its
/// own segment of every sequence; initial states matter on the first rank of the group, dfinal on
/// the last.
struct SequenceParallel {
  dist::StateExchange* states = nullptr;
  dist::HaloExchange* halo = nullptr;
  /// true: state gradients go back to earlier ranks too; the result equals one rank on the whole
  /// sequence. false: they stop at segment borders (truncated).
  bool full_gradient = true;

  bool is_last() const { return states->group().rank() == states->group().size() - 1; }
};

/// What a block's backward needs from its forward; each kind of block derives its own.
class BlockActivations {
 public:
  virtual ~BlockActivations() = default;
};

/// Views of one layer's states or their gradients, in the order of its state_specs(). Empty, or
/// absent views: zeros where read, not wanted where written.
using StateViews = std::vector<core::TensorView>;

/// Rows are tokens, [batch · length, width]. residual_out = residual_in + what the block adds; both
/// of ModelConfig::residual_dtype.
struct BlockForward {
  int64_t batch = 0, length = 0;
  core::TensorView residual_in;
  core::TensorView residual_out;
  StateViews initial;
  StateViews final_state;
  /// Written if given: the states that entered this rank's segment (without `parallel`: initial),
  /// from which the segment can be run again on its own.
  StateViews entering;
  /// Written if given: [batch, StateSpec::decays] in the state dtype, the sums of the recurrent
  /// state's log-decays over this rank's segment.
  core::TensorView log_decay;
  const SequenceParallel* parallel = nullptr;
  bool keep = false;  ///< keep activations for backward
  /// Run again on its own, but backward will exchange state gradients: keep the segment's map too.
  bool keep_map = false;

  /// [batch · length, width] as [batch, length, width].
  core::TensorView tokens(const core::TensorView& rows) const {
    return rows.unflatten_first(batch, length);
  }
};

/// dresidual, of the model's dtype: in, the gradient at residual_out; out, the gradient at
/// residual_in. overwrite_gradients: the parameters' gradients are those of this pass, whatever was
/// there; otherwise they are added.
struct BlockBackward {
  int64_t batch = 0, length = 0;
  core::TensorView residual_in;
  core::TensorView dresidual;
  StateViews entering;  ///< the states that entered this segment in forward
  StateViews dfinal;    ///< given on the last rank of a sequence group only
  StateViews dinitial;
  const SequenceParallel* parallel = nullptr;
  bool overwrite_gradients = false;

  core::TensorView tokens(const core::TensorView& rows) const {
    return rows.unflatten_first(batch, length);
  }
};

class Block {
 public:
  virtual ~Block() = default;
  virtual std::vector<StateSpec> state_specs() const = 0;
  /// Returns what backward needs if args.keep, else nullptr.
  virtual std::unique_ptr<BlockActivations> forward(core::Context& context,
                                                    const BlockForward& args) = 0;
  virtual void backward(core::Context& context, const BlockBackward& args,
                        BlockActivations& kept) = 0;
  /// Elements of the flat parameter buffer that this block owns.
  virtual int64_t parameters_begin() const = 0;
  virtual int64_t parameters_end() const = 0;
  /// Floating-point operations of forward per token.
  virtual double flops_per_token() const = 0;
};

}  // namespace longhaul::model
