#include "kernels/core/cuda_arithmetic.h"
#include "kernels/core/cuda_graph.h"
#include "kernels/core/cuda_memory.h"
#include "kernels/core/cuda_versions.h"
#include "kernels/core/device_reader.h"
#include "kernels/core/error.h"

namespace longhaul::core {

class CudaQueue {};
struct DeviceReader::Staging {};
DeviceReader::DeviceReader(Context& context) : context_(&context) {}
DeviceReader::~DeviceReader() = default;
DeviceReader::DeviceReader(DeviceReader&&) noexcept = default;
DeviceReader& DeviceReader::operator=(DeviceReader&&) noexcept = default;
void DeviceReader::follow() {}
void DeviceReader::read(const TensorView& source, const TensorView& target) {
  copy_now(source, target);
}
struct CudaGraph::Recorded {};
CudaGraph::CudaGraph() = default;
CudaGraph::~CudaGraph() = default;
CudaGraph::CudaGraph(CudaGraph&&) noexcept = default;
CudaGraph& CudaGraph::operator=(CudaGraph&&) noexcept = default;
CudaGraph CudaGraph::record(Context&, const std::function<void()>&) {
  throw Error(cuda_unavailable_reason());
}
void CudaGraph::launch(Context&) const { throw Error(cuda_unavailable_reason()); }
void CudaQueueDeleter::operator()(CudaQueue* queue) const noexcept { delete queue; }

bool cuda_available() noexcept { return false; }
const char* cuda_unavailable_reason() noexcept {
  return "this program was built without CUDA (CMake found no nvcc)";
}
void* cuda_stream(Context&) noexcept { return nullptr; }
int cuda_device_count() noexcept { return 0; }
std::string cuda_device_place(Device) { throw Error(cuda_unavailable_reason()); }
std::string cuda_device_name(Device) { throw Error(cuda_unavailable_reason()); }
std::string cuda_versions() { throw Error(cuda_unavailable_reason()); }
CudaMemory cuda_memory(Device) { throw Error(cuda_unavailable_reason()); }
int64_t cuda_shared_bytes(Device) { throw Error(cuda_unavailable_reason()); }
void* cuda_allocate(Device, int64_t) { throw Error(cuda_unavailable_reason()); }
void cuda_free(Device, void*) noexcept {}
CudaQueuePointer cuda_queue(Device) { throw Error(cuda_unavailable_reason()); }
void cuda_copy(Context&, const TensorView&, const TensorView&) {
  throw Error(cuda_unavailable_reason());
}
void cuda_set_zero(Context&, const TensorView&) { throw Error(cuda_unavailable_reason()); }
void cuda_affine(Context&, const CudaAffine&) { throw Error(cuda_unavailable_reason()); }
void cuda_accumulate(Context&, const TensorView&, const TensorView&) {
  throw Error(cuda_unavailable_reason());
}
void cuda_fill(Context&, const TensorView&, double) { throw Error(cuda_unavailable_reason()); }
void cuda_synchronize(Device) { throw Error(cuda_unavailable_reason()); }
void cuda_synchronize(Context&) { throw Error(cuda_unavailable_reason()); }

}  // namespace longhaul::core
