// The Mamba-1 block: norm → in_proj → causal conv → projections to dt, B, C → selective scan → gate
// → out_proj, added to the residual stream.
#pragma once

#include <memory>
#include <vector>

#include "kernels/selective_scan/selective_scan.h"
#include "model/block.h"
#include "model/block_details.h"
#include "model/config.h"
#include "model/parameters.h"
#include "model/segment_convolution.h"

namespace longhaul::model {

struct Mamba1Activations;

/// States of a layer, in order: "ssm.{layer}" [E, state] and "conv.{layer}" [K−1, E].
std::vector<StateSpec> mamba1_state_specs(const ModelConfig& config, int64_t layer);

/// mamba1_memory.h replays its allocations.
class Mamba1Block final : public Block {
 public:
  /// `parameters` must outlive the block.
  Mamba1Block(const ModelConfig& config, int64_t layer, ParameterSet& parameters);

  std::vector<StateSpec> state_specs() const override {
    return mamba1_state_specs(config_, layer_);
  }
  std::unique_ptr<BlockActivations> forward(core::Context& context,
                                            const BlockForward& args) override;
  void backward(core::Context& context, const BlockBackward& args, BlockActivations& kept) override;
  int64_t parameters_begin() const override { return weights_.begin(); }
  int64_t parameters_end() const override { return weights_.end(); }
  double flops_per_token() const override;

 private:
  /// Column ranges of x_proj's output.
  struct Columns {
    core::TensorView dt, B, C;
  };
  Columns columns_of(const core::TensorView& dtBC) const;

  void project_z(core::Context& context, Mamba1Activations& act) const;
  void scan(core::Context& context, const BlockForward& args, Mamba1Activations& act) const;

  struct Gradients;
  void scan_backward(core::Context& context, const BlockBackward& args, Mamba1Activations& act,
                     Gradients& grad) const;
  void inputs_backward(core::Context& context, const BlockBackward& args, Mamba1Activations& act,
                       Gradients& grad) const;

  const ModelConfig config_;
  int64_t layer_;
  ParameterSet& parameters_;
  core::DType dtype_, state_dtype_;
  BlockWeights weights_;
  BlockWeight norm_, in_proj_, in_proj_bias_, x_proj_, dt_proj_, dt_bias_, A_log_, D_, out_proj_,
      out_proj_bias_;
  SegmentConvolution conv_;
};

}  // namespace longhaul::model
