// Lets the contract suites, which speak of host memory, run on device memory: what lies on the host
// is copied to the device before an operation and back after it.
#pragma once

#include <functional>
#include <memory>

#include "dist/communicator.h"
#include "dist/device_runtime.h"

namespace longhaul::test {

struct StagingDevice {
  dist::DeviceRuntime& runtime;
  dist::DeviceRuntime::Stream compute_stream;
  core::Device device;
  std::function<void*(int64_t bytes)> allocate;
  std::function<void(void*)> release;
};

/// `inner` on device memory; outlives what this returns.
std::unique_ptr<dist::Communicator> staging_communicator(StagingDevice& device,
                                                         dist::Communicator& inner);

}  // namespace longhaul::test
