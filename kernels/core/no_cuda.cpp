#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"

namespace longhaul::core {

bool cuda_available() noexcept { return false; }
const char* cuda_unavailable_reason() noexcept { return "this program was built without CUDA"; }
void* cuda_stream(Context&) noexcept { return nullptr; }
void* cuda_allocate(Device, int64_t) { throw Error(cuda_unavailable_reason()); }
void cuda_free(Device, void*) noexcept {}

}  // namespace longhaul::core
