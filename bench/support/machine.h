// What every bench program says about the machine, and the rate everything is compared with.
#pragma once

#include <string>

#include "kernels/core/context.h"

namespace longhaul::bench {

/// An exception that nobody catches ends the program with its message, after the program's name,
/// and exit code 2; under mpirun that ends all ranks.
void end_on_errors(const char* program);

/// A clock: the wall's, or the processor time of this process (all threads), which on a machine
/// that others use too is the better measure of one thread's work.
double seconds(bool cpu_time);

/// FLOP/s of oneDNN's fp32 matrix product (or what the build has in its place), [2048 × 2048] ×
/// [2048 × 2048], with the context's threads: best of several.
double gemm_rate(core::Context& context, bool cpu_time = false);

/// Processor model and number of processors, and the context's GPU, as one JSON object.
std::string machine_json(const core::Context& context);

/// Highest resident memory of this process so far, bytes.
int64_t peak_resident_bytes();

}  // namespace longhaul::bench
