// The contract suites on NCCL itself, under mpiexec: each rank with a GPU, or several with one.
// Without a GPU the program says so and exits with 77, which CTest shows as skipped.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "dist/mpi_communicator.h"
#include "dist/nccl_communicator.h"
#include "kernels/core/error.h"
#include "tests/dist/communicator_contract.h"
#include "tests/dist/exchange_contract.h"
#include "tests/dist/halo_contract.h"
#include "tests/dist/reducer_contract.h"
#include "tests/nccl/staging_communicator.h"
#include "tests/support/mpi_main.h"

namespace longhaul::test {
namespace {

constexpr int kSkipped = 77;

void* allocate(int64_t bytes) {
  void* block = nullptr;
  if (cudaMalloc(&block, static_cast<size_t>(bytes)) != cudaSuccess) {
    throw core::Error(core::message("cudaMalloc of ", bytes, " bytes failed"));
  }
  return block;
}

/// The case on device memory, in a session of its own.
RankCase on_gpu(const RankCase& rank_case, int devices) {
  return {rank_case.name, [body = rank_case.body, devices](Communicator& bootstrap) {
            const core::Device device{.kind = core::DeviceKind::kCuda,
                                      .index = bootstrap.rank() % devices};
            const auto runtime = dist::cuda_device_runtime(device);
            const auto stream = runtime->make_stream();
            {
              dist::NcclSession session(
                  bootstrap, {.device = device, .compute_stream = stream, .time_limit_s = 25});
              StagingDevice staging{*runtime, stream, device, allocate,
                                    [](void* block) { cudaFree(block); }};
              body(*staging_communicator(staging, session.world()));
              runtime->synchronize(stream);
            }
            runtime->destroy(stream);
          }};
}

/// NCCL refuses two ranks on one device of one host, unless it takes them for ranks of several.
void let_ranks_share_a_device() {
  const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
  setenv("NCCL_HOSTID", core::message("rank-", rank != nullptr ? rank : "0").c_str(), 1);
  setenv("NCCL_SOCKET_IFNAME", "lo", 1);
}

}  // namespace
}  // namespace longhaul::test

int main(int argc, char** argv) {
  using namespace longhaul::test;
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::fprintf(stderr, "skipped: this machine has no GPU\n");
    return kSkipped;
  }
  let_ranks_share_a_device();
  std::vector<RankCase> cases;
  for (const auto& suite :
       {communicator_contract(), exchange_contract(), halo_contract(), reducer_contract()}) {
    for (const RankCase& each : suite) {
      // It looks at results on the host before wait() has brought them there.
      if (each.name != "reduction_runs_before_finish") cases.push_back(on_gpu(each, devices));
    }
  }
  return run_mpi_tests(argc, argv, "Nccl", cases);
}
