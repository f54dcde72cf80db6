// Passing of states along a sequence that is sharded over the ranks of a group.
// Each rank's segment is an affine map S_out = a ⊙ S_in + S_ext. The exchange is the exclusive scan
// of these maps: it gives every rank its true S_in. In the other direction it gives every rank its
// true dS_out.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "dist/communicator.h"
#include "kernels/core/context.h"

namespace longhaul::dist {

/// all_gather: each map to all ranks behind (on a device one collective: to all), then a local
/// scan; volume grows with ranks. chain: rank after rank, pipelined in blocks; least volume.
/// log_step: Hillis–Steele, ⌈log₂ ranks⌉ messages. automatic: cheapest_exchange.
enum class ExchangeAlgorithm { kAutomatic, kAllGather, kChain, kLogStep };
inline const std::vector<std::string_view>& enum_names(ExchangeAlgorithm) {
  static const std::vector<std::string_view> names{"auto", "all_gather", "chain", "log_step"};
  return names;
}

/// What automatic goes by: the same on every rank and in every run, because the algorithms differ
/// in the order of their sums.
struct ExchangeQuestion {
  int ranks = 1;
  int64_t state_bytes = 0;  ///< of one exchange, a rank's
  int64_t log_decay_bytes = 0;
  bool free_messages = true;  ///< Communicator::has_free_messages of the group
};
ExchangeAlgorithm cheapest_exchange(const ExchangeQuestion& question);

/// kForward: states flow from rank 0 up. kBackward: state gradients flow from the last rank down.
enum class Direction { kForward, kBackward };

/// One exchange. log_decay [batch, groups] is the sum of log-decays over this rank's segment, state
/// [batch, groups, …] its state from zero (kBackward: its state gradient from zero). boundary,
/// shaped as state or absent (zeros), enters at the first rank (kBackward: the last); other ranks'
/// value is ignored. incoming, shaped as state, receives the state entering (kBackward: the
/// gradient arriving at the end of) this rank's segment. All fp32 or all fp64. Decays combine as
/// sums of logs; e^{−∞} = 0 forgets exactly.
struct ExchangeArgs {
  Direction direction = Direction::kForward;
  core::TensorView log_decay, state, boundary;
  core::TensorView incoming;
};

/// All ranks of the group start and finish the same exchanges in the same order; several may be
/// under way. One object a group is meant: several objects on one group must be finished in the
/// order of their starts. Tags from kReservedTags up are taken on `group`.
inline constexpr int kReservedTags = 16384;
class StateExchange {
 public:
  /// `group` must outlive the exchange. kAutomatic is settled here for fp32 states of
  /// `typical_elements` with so many log-decays; see algorithm() for the choice.
  StateExchange(core::Context& context, Communicator& group, ExchangeAlgorithm algorithm,
                int64_t typical_elements = 0, int64_t typical_log_decays = 0);
  ~StateExchange();

  ExchangeAlgorithm algorithm() const { return algorithm_; }
  Communicator& group() const { return group_; }

  /// Begins; the views must stay valid until finish(). Computation may run in between.
  class Run {
   public:
    virtual ~Run() = default;
    virtual void finish() = 0;
  };
  std::unique_ptr<Run> start(const ExchangeArgs& args);

 private:
  core::Context& context_;
  Communicator& group_;
  ExchangeAlgorithm algorithm_;
  int64_t started_ = 0;
};

/// The halo of a convolution of width K: the K−1 rows that precede this rank's segment.
/// rows: this rank's own x [batch, length, channels] (strides free, length ≥ 0, may differ between
/// ranks, may be shorter than K−1); boundary [batch, K−1, channels] or absent precedes the whole
/// sequence (first rank's is used); halo [batch, K−1, channels] receives the rows before the
/// segment.
class HaloExchange {
 public:
  /// lengths[r]: tokens of rank r's segment. Same on all ranks.
  HaloExchange(core::Context& context, Communicator& group, std::vector<int64_t> lengths);
  std::unique_ptr<StateExchange::Run> start_forward(core::TensorView rows,
                                                    core::TensorView boundary,
                                                    core::TensorView halo);
  /// dhalo: gradient to this rank's halo. drows [batch, length, channels] (strides free) += what
  /// later ranks' halos say of this rank's rows; dboundary (written on every rank, or absent on
  /// every rank) receives the gradient to the boundary.
  std::unique_ptr<StateExchange::Run> start_backward(core::TensorView dhalo, core::TensorView drows,
                                                     core::TensorView dboundary);

 private:
  core::Context& context_;
  Communicator& group_;
  std::vector<int64_t> lengths_;
};

}  // namespace longhaul::dist
