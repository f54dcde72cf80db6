#include "model/retention.h"

#include <limits>

#include "model/architecture.h"

namespace longhaul::model {

Retention retention_of(const ModelConfig& config, core::DeviceKind device, core::DType dtype,
                       bool recompute) {
  Retention retention{.layers = config.layers, .together = config.layers};
  if (!recompute) return retention;
  constexpr int64_t kTokens = int64_t{1} << 17;  // so many that no rounding matters
  const StepExtents extents{.device = device, .dtype = dtype, .length = kTokens};
  core::MemoryTally tally;
  const auto block = make_block_memory(config, extents, tally);
  const auto kept = block->forward(true, false);
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
