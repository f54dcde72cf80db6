#include "model/retention.h"

#include <limits>

#include "model/mamba2_memory.h"

namespace longhaul::model {

Retention retention_of(const ModelConfig& config, core::DeviceKind device, core::DType dtype,
                       bool recompute) {
  Retention retention{.layers = config.layers, .together = config.layers};
  if (!recompute) return retention;
  constexpr int64_t kChunks = 1024;  // so long that the pool's rounding does not matter
  const StepExtents extents{
      .device = device, .dtype = dtype, .length = kChunks * mamba2_chunk(config, device, dtype)};
  core::MemoryTally tally;
  Mamba2Memory block(config, extents, tally);
  const Mamba2Memory::Kept kept = block.forward(true, false);
  const int64_t of_block = tally.in_use();
  const int64_t of_input =
      extents.rows() * config.width * core::size_of(config.residual_dtype(dtype));
  int64_t least = std::numeric_limits<int64_t>::max();
  for (int64_t together = 1; together <= config.layers; ++together) {
    const int64_t inputs = (config.layers + together - 1) / together + together - 1;
    const int64_t bytes = inputs * of_input + together * of_block;
    if (bytes >= least) continue;
    least = bytes;
    retention.together = together;
  }
  return retention;
}

}  // namespace longhaul::model
