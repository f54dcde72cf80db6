// How long a rank computes: for every op of a training step its floating-point operations (two a
// multiply-add; the causal half of a chunk's pairs) and the bytes it cannot do without, as
// bench_ops counts them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/scaling/device.h"
#include "model/config.h"

namespace longhaul::bench {

enum class OpKind { kLinear, kScan, kMemory };

struct OpWork {
  std::string name;  ///< bench_ops' where it has this op
  OpKind kind = OpKind::kMemory;
  double flops = 0, bytes = 0;
  int launches = 1;
};
using Works = std::vector<OpWork>;

/// One layer's ops between the points at which ranks meet. Forward: halo after to_halo, exchange
/// begins after to_exchange and ends after meanwhile. Backward: exchange first, then the halo.
struct LayerWork {
  Works to_halo, to_exchange, meanwhile, rest;
};

/// What a rank has of a micro-step.
struct RankTokens {
  double tokens = 0;
  int64_t length = 1;      ///< of its segment: a shorter one than a chunk is one chunk
  int64_t groups = 0;      ///< of B and C that convolution and SSD see; 0: the model's
  bool exchanges = false;  ///< states travel: Mamba-1's segment map is then a pass of its own
};

LayerWork forward_work(const model::ModelConfig& config, ElementType dtype,
                       const RankTokens& tokens);
LayerWork backward_work(const model::ModelConfig& config, ElementType dtype,
                        const RankTokens& tokens);
/// Embedding, final norm and loss, both ways.
Works head_work(const model::ModelConfig& config, ElementType dtype, const RankTokens& tokens);
/// Clipping and AdamW on `owned` of a model's `parameters`.
Works optimizer_work(ElementType dtype, double parameters, double owned);

double flops_of(const Works& works);
double seconds_of(const Device& device, const OpWork& work);
double seconds_of(const Device& device, const Works& works);

/// Seconds of a layer's stages.
struct LayerSeconds {
  double to_halo = 0, to_exchange = 0, meanwhile = 0, rest = 0;
  double sum() const { return to_halo + to_exchange + meanwhile + rest; }
};
LayerSeconds seconds_of(const Device& device, const LayerWork& work);

}  // namespace longhaul::bench
