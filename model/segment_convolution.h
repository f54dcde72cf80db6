// The causal convolution of a block, over a segment that others may precede. Private to blocks.
#pragma once

#include "kernels/core/tensor.h"
#include "model/block.h"
#include "model/block_details.h"

namespace longhaul::model {

/// y = silu(conv(x)). The K − 1 rows before the segment come from the caller's states or, within a
/// sequence group, from the ranks before.
class SegmentConvolution {
 public:
  /// weight is stored as [channels, 1, K]; bias may be absent.
  SegmentConvolution(const BlockWeight& weight, const BlockWeight& bias);

  /// x, y [batch, length, channels]; rows may have a stride.
  void forward(core::Context& context, const BlockForward& args, const core::TensorView& x,
               const core::TensorView& y) const;
  /// dx is overwritten.
  void backward(core::Context& context, const BlockBackward& args, const core::TensorView& x,
                const core::TensorView& dy, const core::TensorView& dx) const;

 private:
  core::Shape tail(int64_t batch) const {
    return {batch, weight_.value.extent(1) - 1, weight_.value.extent(0)};
  }

  BlockWeight weight_, bias_;
};

}  // namespace longhaul::model
