#include "kernels/core/context.h"

#include <omp.h>

#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"

namespace longhaul::core {

int available_threads() { return omp_get_num_procs(); }

Context::Context(Device device, int threads)
    : pool_(device), threads_(threads > 0 ? threads : available_threads()) {
  if (!device.is_cpu() && !cuda_available()) {
    throw InputError(message("device: cuda cannot be used: ", cuda_unavailable_reason()));
  }
}

}  // namespace longhaul::core
