#include "kernels/core/context.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "kernels/core/cpu_quota.h"
#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"

namespace longhaul::core {

int available_threads() {
  // A team larger than the quota would be halted together, waiting for each other all the time.
  const auto processors = static_cast<double>(omp_get_num_procs());
  return static_cast<int>(std::max(1.0, std::min(processors, std::ceil(cpu_quota()))));
}

Context::Context(Device device, int threads)
    : pool_(device), threads_(threads > 0 ? threads : available_threads()) {
  if (!device.is_cpu() && !cuda_available()) {
    throw InputError(message("device: cuda cannot be used: ", cuda_unavailable_reason()));
  }
  if (device.is_cpu()) return;
  if (device.index < 0 || device.index >= cuda_device_count()) {
    throw InputError(message("device: ", name_of(device), " is not there, this machine shows ",
                             cuda_device_count()));
  }
  queue_ = cuda_queue(device);
}

/// Memory must not go back to the device while work that was started may still use it.
Context::~Context() {
  if (queue_ == nullptr) return;
  try {
    cuda_synchronize(*this);
  } catch (const Error&) {
    // The error was, or will be, reported by the call that waits for the result.
  }
}

void synchronize(Context& context) {
  if (!context.device().is_cpu()) cuda_synchronize(context);
}

}  // namespace longhaul::core
