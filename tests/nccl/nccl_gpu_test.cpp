// The contract suites on NCCL itself, under mpiexec: each rank with a GPU, or several with one.
// Without a GPU the program says so and exits with 77, which CTest shows as skipped.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
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

/// One session for all cases: on a device that several ranks share, NCCL takes half a second to
/// begin one. It ends before MPI does.
class GpuSession final : public ::testing::Environment {
 public:
  explicit GpuSession(int devices) : devices_(devices) {}

  void run(const RankCase& rank_case, Communicator& bootstrap) {
    if (session_ == nullptr) begin(bootstrap);
    StagingDevice staging{*runtime_, stream_, device_, allocate,
                          [](void* block) { cudaFree(block); }};
    rank_case.body(*staging_communicator(staging, session_->world()));
    runtime_->synchronize(stream_);
  }
  void TearDown() override {
    session_.reset();
    if (runtime_ != nullptr) runtime_->destroy(stream_);
    runtime_.reset();
  }

 private:
  void begin(Communicator& bootstrap) {
    device_ = {.kind = core::DeviceKind::kCuda, .index = bootstrap.rank() % devices_};
    runtime_ = dist::cuda_device_runtime(device_);
    stream_ = runtime_->make_stream();
    session_ = std::make_unique<dist::NcclSession>(
        bootstrap,
        dist::NcclOptions{.device = device_, .compute_stream = stream_, .time_limit_s = 25});
  }

  int devices_;
  core::Device device_;
  std::unique_ptr<dist::DeviceRuntime> runtime_;
  dist::DeviceRuntime::Stream stream_ = nullptr;
  std::unique_ptr<dist::NcclSession> session_;
};

/// NCCL refuses two ranks on one device of one host, unless it takes them for ranks of several.
/// Where there is a device for every rank they are of one host, as in a job.
void let_ranks_share_a_device(int devices) {
  const char* ranks = std::getenv("OMPI_COMM_WORLD_SIZE");
  if (ranks == nullptr || std::atoi(ranks) <= devices) return;
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
  let_ranks_share_a_device(devices);
  auto* session = new GpuSession(devices);  // GoogleTest's own from here on
  ::testing::AddGlobalTestEnvironment(session);
  std::vector<RankCase> cases;
  for (const auto& suite :
       // NCCL's sums have an order of their own.
       {communicator_contract(), exchange_contract(), halo_contract(),
        reducer_cases(any_order())}) {
    for (const RankCase& each : suite) {
      cases.push_back(
          {each.name, [session, each](Communicator& bootstrap) { session->run(each, bootstrap); }});
    }
  }
  return run_mpi_tests(argc, argv, "Nccl", cases);
}
