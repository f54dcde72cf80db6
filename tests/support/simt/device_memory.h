// Emulated device memory: one range of addresses that is out of bounds for the host, as a GPU's
// is. Only while a DeviceAccess lives, in kernels and copies, can it be read and written; anything
// else that follows a device pointer ends the test. New memory of up to 16 MiB
// holds NaN.
#pragma once

#include <cstdint>

namespace longhaul::simt {

constexpr int64_t kDeviceBytes = int64_t{8} << 30;
int64_t device_bytes_used();
/// Of shared memory: as sm_80 has, or LONGHAUL_EMULATED_SHARED_KIB.
int shared_bytes_of_block();

/// Null when there is no more. Page-aligned.
void* device_allocate(int64_t bytes);
void device_free(void* block);

class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
  DeviceAccess& operator=(const DeviceAccess&) = delete;
};

}  // namespace longhaul::simt
