// The few CUDA calls that core needs; no_cuda.cpp gives the bodies of a build without CUDA.
#pragma once

#include <cstdint>

#include "kernels/core/device.h"

namespace longhaul::core {

class Context;

/// True if this build has CUDA and the machine has a device.
bool cuda_available() noexcept;
/// Why `device: cuda` cannot work here, in a few words; empty if it can.
const char* cuda_unavailable_reason() noexcept;

/// The stream that the ops of a context run on (cudaStream_t); null on the CPU.
void* cuda_stream(Context& context) noexcept;

void* cuda_allocate(Device device, int64_t bytes);
void cuda_free(Device device, void* block) noexcept;

}  // namespace longhaul::core
