// The Mamba-2 block: norm → in_proj → causal conv → SSD → gated norm → out_proj, added to the
// residual stream; then, where the model has one, norm → gated MLP, added too.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/block.h"
#include "model/block_details.h"
#include "model/config.h"
#include "model/parameters.h"
#include "model/segment_convolution.h"

namespace longhaul::model {

struct Mamba2Activations;

/// States of a layer, in order: "ssm.{layer}" [heads, head_dim, state] and "conv.{layer}" [K−1,
/// channels].
std::vector<StateSpec> mamba2_state_specs(const ModelConfig& config, int64_t layer);

/// mamba2_memory.h replays its allocations.
class Mamba2Block final : public Block {
 public:
  /// `parameters` must outlive the block.
  Mamba2Block(const ModelConfig& config, int64_t layer, ParameterSet& parameters);

  std::vector<StateSpec> state_specs() const override {
    return mamba2_state_specs(config_, layer_);
  }
  std::unique_ptr<BlockActivations> forward(core::Context& context,
                                            const BlockForward& args) override;
  void backward(core::Context& context, const BlockBackward& args, BlockActivations& kept) override;
  int64_t parameters_begin() const override { return weights_.begin(); }
  int64_t parameters_end() const override { return weights_.end(); }
  double flops_per_token() const override;

 private:
  /// Column ranges of in_proj's output: z | x B C | dt.
  struct Columns {
    core::TensorView z, xBC, dt;
  };
  struct SsdViews {
    core::TensorView x, B, C;
  };

  Columns columns_of(const core::TensorView& zxbcdt) const;
  SsdViews ssd_views(const core::TensorView& xBC, int64_t batch, int64_t length) const;

  void scan(core::Context& context, const BlockForward& args, Mamba2Activations& act) const;
  void step(core::Context& context, const BlockForward& args, Mamba2Activations& act) const;
  void mlp_forward(core::Context& context, const core::TensorView& residual_out,
                   Mamba2Activations& act) const;

  struct Gradients;
  void mlp_backward(core::Context& context, const BlockBackward& args,
                    Mamba2Activations& act) const;
  void scan_backward(core::Context& context, const BlockBackward& args, Mamba2Activations& act,
                     Gradients& grad) const;

  int64_t chunk(const core::Context& context) const;

  const ModelConfig config_;
  int64_t layer_;
  ParameterSet& parameters_;
  core::DType dtype_, state_dtype_;
  BlockWeights weights_;
  BlockWeight norm_, in_proj_, in_proj_bias_, dt_bias_, A_log_, D_, gated_norm_, out_proj_,
      out_proj_bias_, norm2_, fc1_, fc2_;
  SegmentConvolution conv_;
};

}  // namespace longhaul::model
