// The memory of an evaluation on one rank, known before its model is there.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/core/device.h"
#include "kernels/core/dtype.h"
#include "model/config.h"

namespace longhaul::eval {

/// The largest piece that an evaluation reads at a time.
struct MemoryQuestion {
  const model::ModelConfig& model;
  int64_t sequences = 1;   ///< read side by side on a rank
  int64_t tokens = 1;      ///< of each, over all its sequence ranks
  int sequence_ranks = 1;  ///< that share a sequence
  core::DeviceKind device = core::DeviceKind::kCpu;
  core::DType dtype = core::DType::kF32;
  int threads = 1;  ///< of a rank
};

/// Bytes at the highest on the rank that needs most, as its pool counts them: the model, the states
/// that enter and leave, and a forward pass with the losses of its tokens, of which nothing is
/// kept.
int64_t plan_memory(const MemoryQuestion& question);

/// Sequences and tokens of each, as in MemoryQuestion.
struct PieceExtents {
  int64_t sequences = 1, tokens = 1;
};
/// Those of evaluate_effrem, one for each number of suffixes that it reads side by side; `most`:
/// CurveOptions' piece · batch.
std::vector<PieceExtents> effrem_pieces(int64_t length, int64_t training_length, double most);

}  // namespace longhaul::eval
