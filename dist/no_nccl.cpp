// A build without NCCL.
#include "dist/nccl_communicator.h"
#include "kernels/core/error.h"

namespace longhaul::dist {

namespace {

[[noreturn]] void unavailable() { throw core::Error(nccl_unavailable_reason()); }

}  // namespace

bool nccl_available() noexcept { return false; }
const char* nccl_unavailable_reason() noexcept {
  return "this program was built without NCCL (its build found no nccl.h, libnccl or CUDA toolkit)";
}

struct NcclSession::State {};

NcclSession::NcclSession(Communicator&, const NcclOptions&) { unavailable(); }
NcclSession::NcclSession(Communicator&, const NcclOptions&, std::unique_ptr<DeviceRuntime>) {
  unavailable();
}
NcclSession::~NcclSession() = default;
Communicator& NcclSession::world() { unavailable(); }
void NcclSession::set_time_limit(double) {}
void NcclSession::set_activity(const std::string&) {}

std::unique_ptr<DeviceRuntime> cuda_device_runtime(core::Device) { unavailable(); }

}  // namespace longhaul::dist
