// Measured times in the place of ceilings.
#pragma once

#include <string>

#include "bench/scaling/device.h"

namespace longhaul::bench {

/// What bench_ops wrote, one JSON object a line: rates op by op. InputError names file and line.
void use_measured_ops(const std::string& path, Device& device);

/// What bench_train_step wrote on one rank: all ops take as much longer, or shorter, as that step
/// did. InputError names the file.
void use_measured_step(const std::string& path, Device& device);

}  // namespace longhaul::bench
