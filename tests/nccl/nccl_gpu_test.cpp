// The contract suites on NCCL itself, under mpiexec, each rank with a GPU or several with one. Without
// a GPU (or without NCCL in the build) the program says so and exits with 77, which CTest shows as
// skipped.
#include <cuda_runtime_api.h>
#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "dist/mpi_communicator.h"
#include "dist/nccl_communicator.h"
#include "kernels/core/context.h"
#include "tests/dist/communicator_contract.h"
#include "tests/dist/exchange_contract.h"
#include "tests/dist/halo_contract.h"
#include "tests/dist/reducer_contract.h"
#include "tests/nccl/staging_communicator.h"
#include "tests/support/mpi_main.h"

namespace longhaul::test {
namespace {

constexpr int kSkipped = 77;

/// The device's memory for staged tensors: host memory that the device reaches where it lies.
/// CUDA's unified memory would do too, but is slower to set up.
class DeviceMemory {
 public:
  static void* allocate(int64_t bytes) {
    void* block = nullptr;
    if (cudaMalloc(&block, static_cast<size_t>(std::max<int64_t>(bytes, 1))) != cudaSuccess) {
      std::fprintf(stderr, "cudaMalloc of %lld bytes failed\n", static_cast<long long>(bytes));
      std::abort();
    }
    return block;
  }
};

}  // namespace
}  // namespace longhaul::test
