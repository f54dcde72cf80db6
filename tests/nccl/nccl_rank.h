// A rank of the tests of the NCCL communicator: a device of the test double, and a session on it.
#pragma once

#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "dist/nccl_communicator.h"
#include "tests/nccl/fake_device.h"
#include "tests/nccl/staging_communicator.h"

namespace longhaul::test {

inline constexpr core::Device kDevice{.kind = core::DeviceKind::kCuda, .index = 0};

/// A rank's device and session.
struct NcclRank {
  explicit NcclRank(dist::Communicator& bootstrap, dist::NcclOptions options = {})
      : session(bootstrap, with_device(std::move(options)), fake_device_runtime()) {}
  ~NcclRank() { runtime->synchronize(stream.get()); }
  dist::NcclOptions with_device(dist::NcclOptions options) {
    options.device = kDevice;
    options.compute_stream = stream.get();
    return options;
  }
  core::TensorView on_device(std::vector<float>& values) const {
    return {values.data(), core::DType::kF32, {static_cast<int64_t>(values.size())}, kDevice};
  }
  StagingDevice staging() const {
    return {*runtime, stream.get(), kDevice,
            [](int64_t bytes) { return std::malloc(static_cast<size_t>(bytes)); }, std::free};
  }
  void synchronize() { runtime->synchronize(stream.get()); }

  std::unique_ptr<dist::DeviceRuntime> runtime = fake_device_runtime();
  std::unique_ptr<FakeStream> stream = std::make_unique<FakeStream>();
  dist::NcclSession session;
};

}  // namespace longhaul::test
