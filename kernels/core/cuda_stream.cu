#include "kernels/core/cuda_memory.h"
#include "kernels/core/launch.cuh"

namespace longhaul::core {

void* cuda_stream(Context& context) noexcept { return stream_of(context); }

}  // namespace longhaul::core
