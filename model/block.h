// One layer of a recurrent language model: the seam between architectures. Everything outside model/mamba2_* goes through it.
#pragma once

#include <memory>
#include <vector>

#include "dist/state_exchange.h"
#include "kernels/core/context.h"
#include "model/parameters.h"
#include "model/recurrent_state.h"

namespace longhaul::model {

struct SequenceParallel;

/// What a block's backward needs from its forward; each kind of block derives its own.
class BlockActivations {
 public:
  virtual ~BlockActivations() = default;
};

/// Views of one layer's states or their gradients, in the order of its state_specs(); absent where not given.
using StateViews = std::vector<core::TensorView>;

/// residual [rows, width] is the residual stream, rows = batch · length; the block adds its output to it through
/// `branch`: a block first adds the branch of the one before (fused with its norm) and leaves its own in `branch`.
struct BlockForward {
  int64_t batch = 0, length = 0;
  core::TensorView residual;         ///< in and out
  core::TensorView branch;           ///< in (absent: nothing to add) …
  core::TensorView branch_out;       ///< … and out [rows, width]
  StateViews initial, final_state;   ///< absent: zeros / not wanted
  const SequenceParallel* parallel = nullptr;
  bool keep = false;                 ///< keep activations for backward
};

struct BlockBackward {
  int64_t batch = 0, length = 0;
  core::TensorView dresidual;        ///< in and out [rows, width]: gradient at the block's output sum, becomes that at its input
  StateViews initial, dfinal, dinitial;
  const SequenceParallel* parallel = nullptr;
};

class Block {
 public:
  virtual ~Block() = default;
  virtual std::vector<StateSpec> state_specs() const = 0;
  /// Returns what backward needs if args.keep, else nullptr.
  virtual std::unique_ptr<BlockActivations> forward(core::Context& context, const BlockForward& args) = 0;
  /// Adds to the parameters' gradients.
  virtual void backward(core::Context& context, const BlockBackward& args, BlockActivations& kept) = 0;
  /// Floating-point operations of forward per token.
  virtual double flops_per_token() const = 0;
};

}  // namespace longhaul::model
