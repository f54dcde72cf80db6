#include "tests/nccl/fake_nccl.h"

#include <nccl.h>

#include <condition_variable>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "dist/reduction.h"
#include "kernels/core/dtype.h"
#include "tests/nccl/fake_device.h"

namespace {

using longhaul::core::DType;
using longhaul::test::FakeStream;

enum class Kind { kAllReduce, kReduceScatter, kAllGather, kBroadcast, kMessage };

struct Call {
  Kind kind = Kind::kAllReduce;
  const void* from = nullptr;
  void* to = nullptr;
  size_t count = 0;
  ncclDataType_t type = ncclInt8;
  int root = 0;
};

DType dtype_of(ncclDataType_t type) {
  switch (type) {
    case ncclFloat64:
      return DType::kF64;
    case ncclBfloat16:
      return DType::kBF16;
    case ncclInt32:
      return DType::kI32;
    default:
      return DType::kF32;
  }
}
size_t bytes_of(const Call& call) {
  const size_t element =
      call.type == ncclInt8 ? 1 : static_cast<size_t>(longhaul::core::size_of(dtype_of(call.type)));
  return call.count * element;
}

/// The n-th operation of a communicator, where all ranks meet.
struct Meeting {
  std::vector<Call> calls;
  int arrived = 0;
  bool done = false;
};

/// All ranks of one communicator. Lives until the process ends: nobody knows who looks last.
struct World {
  explicit World(int ranks) : size(ranks), left(static_cast<size_t>(ranks)) {}
  const int size;
  std::mutex mutex;
  std::condition_variable changed;
  int joined = 0;
  bool aborted = false, mismatched = false;
  std::vector<bool> left;  // by rank: aborted here, which ends what runs on this rank's device only
  std::map<int64_t, Meeting> meetings;

  void meet(int64_t number, int rank, const Call& call);
  void perform(Meeting& meeting);
};

void gather_into(const std::vector<Call>& calls, const Call& target) {
  for (size_t r = 0; r < calls.size(); ++r) {
    std::memmove(static_cast<char*>(target.to) + r * bytes_of(target), calls[r].from,
                 bytes_of(target));
  }
}

void World::perform(Meeting& meeting) {
  const Call& first = meeting.calls.front();
  for (const Call& call : meeting.calls) {
    const bool fits =
        call.kind == first.kind && call.count == first.count && call.type == first.type;
    mismatched = mismatched || !fits;
  }
  if (mismatched) return;
  const size_t bytes = bytes_of(first);
  const bool scatters = first.kind == Kind::kReduceScatter;
  if (first.kind == Kind::kAllReduce || scatters) {
    const size_t all = scatters ? first.count * meeting.calls.size() : first.count;
    std::vector<const void*> sources;
    for (const Call& call : meeting.calls) sources.push_back(call.from);
    std::vector<char> sum(scatters ? bytes * meeting.calls.size() : bytes);
    longhaul::dist::reduce(longhaul::dist::Reduction::kSum, dtype_of(first.type), sources,
                           sum.data(), static_cast<int64_t>(all));
    for (size_t r = 0; r < meeting.calls.size(); ++r) {
      std::memcpy(meeting.calls[r].to, sum.data() + (scatters ? r * bytes : 0), bytes);
    }
  }
  for (const Call& call : meeting.calls) {
    if (first.kind == Kind::kAllGather) gather_into(meeting.calls, call);
    const bool receives = first.kind == Kind::kMessage && call.to != nullptr;
    const size_t root = first.kind == Kind::kMessage ? 0 : static_cast<size_t>(call.root);
    if (receives || first.kind == Kind::kBroadcast) {
      std::memmove(call.to, meeting.calls[root].from, bytes);
    }
  }
}

void World::meet(int64_t number, int rank, const Call& call) {
  std::unique_lock lock(mutex);
  Meeting& meeting = meetings[number];
  meeting.calls.resize(static_cast<size_t>(size));
  meeting.calls[static_cast<size_t>(rank)] = call;
  const auto& faults = longhaul::test::nccl_faults();
  const bool hangs = faults.size == size && faults.hangs == rank;
  if (!hangs && ++meeting.arrived == size) {
    perform(meeting);
    meeting.done = true;
    changed.notify_all();
  }
  changed.wait(lock, [&] { return meeting.done || left[static_cast<size_t>(rank)]; });
}

struct Registry {
  std::mutex mutex;
  std::map<int64_t, std::unique_ptr<World>> worlds;
  int64_t next_id = 1;
  std::atomic<int> communicators{0};
};
Registry& registry() {
  static Registry instance;
  return instance;
}

}  // namespace

struct ncclComm {
  World* world = nullptr;
  int rank = 0;
  int64_t issued = 0;
};

namespace {

ncclResult_t put(ncclComm_t comm, cudaStream_t stream, const Call& call) {
  ncclResult_t state = ncclSuccess;
  ncclCommGetAsyncError(comm, &state);
  if (state == ncclInProgress) return ncclInvalidUsage;  // the caller must ask first
  if (state != ncclSuccess) return state;  // came after the caller asked, as with the real one
  reinterpret_cast<FakeStream*>(stream)->push([world = comm->world, rank = comm->rank,
                                               number = comm->issued,
                                               call] { world->meet(number, rank, call); });
  ++comm->issued;
  return ncclInProgress;
}

ncclResult_t leave(ncclComm_t comm, bool aborts) {
  if (aborts) {
    const std::lock_guard lock(comm->world->mutex);
    comm->world->aborted = true;
    comm->world->left[static_cast<size_t>(comm->rank)] = true;
    comm->world->changed.notify_all();
  }
  --registry().communicators;
  delete comm;
  return ncclSuccess;
}

}  // namespace

namespace longhaul::test {
NcclFaults& nccl_faults() {
  static NcclFaults faults;
  return faults;
}
int nccl_communicators() { return registry().communicators; }
}  // namespace longhaul::test

extern "C" {

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  const std::lock_guard lock(registry().mutex);
  std::memset(id, 0, sizeof(*id));
  std::memcpy(id->internal, &registry().next_id, sizeof(int64_t));
  ++registry().next_id;
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  if (config->blocking != 0) return ncclInvalidArgument;
  int64_t number = 0;
  std::memcpy(&number, id.internal, sizeof(number));
  const std::lock_guard lock(registry().mutex);
  auto& world = registry().worlds[number];
  if (!world) world = std::make_unique<World>(ranks);
  ++registry().communicators;
  const std::lock_guard world_lock(world->mutex);
  ++world->joined;
  *comm = new ncclComm{world.get(), rank, 0};
  return ncclInProgress;
}

ncclResult_t ncclCommFinalize(ncclComm_t) { return ncclSuccess; }
ncclResult_t ncclCommDestroy(ncclComm_t comm) { return leave(comm, false); }
ncclResult_t ncclCommAbort(ncclComm_t comm) { return leave(comm, true); }

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  World& world = *comm->world;
  const auto& faults = longhaul::test::nccl_faults();
  const std::lock_guard lock(world.mutex);
  *error = world.joined < world.size ? ncclInProgress : ncclSuccess;
  if (world.mismatched) *error = ncclInvalidUsage;
  if (world.aborted) *error = ncclRemoteError;
  if (faults.size == world.size && faults.loses_peer == comm->rank) *error = ncclRemoteError;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclRemoteError ? "remote process exited or there was a network error"
                                   : "another error of the test double";
}

ncclResult_t ncclAllReduce(const void* from, void* to, size_t count, ncclDataType_t type,
                           ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  return put(comm, stream, {Kind::kAllReduce, from, to, count, type});
}
ncclResult_t ncclReduceScatter(const void* from, void* to, size_t count, ncclDataType_t type,
                               ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  return put(comm, stream, {Kind::kReduceScatter, from, to, count, type});
}
ncclResult_t ncclAllGather(const void* from, void* to, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return put(comm, stream, {Kind::kAllGather, from, to, count, type});
}
ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  return put(comm, stream, {Kind::kBroadcast, from, to, count, type, root});
}
ncclResult_t ncclSend(const void* from, size_t count, ncclDataType_t type, int, ncclComm_t comm,
                      cudaStream_t stream) {
  return put(comm, stream, {Kind::kMessage, from, nullptr, count, type});
}
ncclResult_t ncclRecv(void* to, size_t count, ncclDataType_t type, int, ncclComm_t comm,
                      cudaStream_t stream) {
  return put(comm, stream, {Kind::kMessage, nullptr, to, count, type});
}
}
