// The models that the benches measure.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "model/config.h"

namespace longhaul::bench {

struct Shape {
  model::ModelConfig config;
  int64_t length = 64, sequences = 64;  ///< sequences: of a step, over all ranks
};
/// recall and text, the quickstart's; mamba2-130m to mamba2-2.7b and mamba1-130m to mamba1-2.8b,
/// the released ones.
const std::map<std::string, Shape>& shapes();

/// Useful floating-point operations of the recurrence (two a multiply-add): causal pairs only,
/// nothing that is computed twice.
struct SsdWork {
  double forward = 0, backward = 0;
};
SsdWork ssd_work(const model::ModelConfig& config, int64_t batch, int64_t length);

}  // namespace longhaul::bench
