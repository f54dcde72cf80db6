// What of a forward pass is kept for backward, where memory is short.
#pragma once

#include <cstdint>

#include "kernels/core/device.h"
#include "kernels/core/dtype.h"
#include "model/config.h"

namespace longhaul::model {

/// The last `together` blocks keep their inputs and activations. Of the blocks before them, every
/// so many keep an input; they are run again from there, `together` at a time, when backward comes
/// to them.
struct Retention {
  int64_t layers = 0;
  int64_t together = 0;  ///< layers: all is kept; 0: nothing, no backward follows

  bool keeps_activations(int64_t layer) const { return layers - layer <= together; }
  bool keeps_input(int64_t layer) const {
    if (together == 0) return false;
    return keeps_activations(layer) || layer == 0 || (layers - layer) % together == 0;
  }
  /// The block from whose input `layer` is run again.
  int64_t begin_of(int64_t layer) const {
    while (!keeps_input(layer)) --layer;
    return layer;
  }
};

/// Everything is kept; with `recompute`, as many blocks are run again together as make what is kept
/// at the worst time smallest: the inputs, and the activations of `together` blocks (Chen et al.
/// 2016, "Training Deep Nets with Sublinear Memory Cost").
Retention retention_of(const ModelConfig& config, core::DeviceKind device, core::DType dtype,
                       bool recompute);

}  // namespace longhaul::model
