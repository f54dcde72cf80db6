#include "tests/nccl/fake_nccl.h"

#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "dist/reduction.h"
#include "kernels/core/dtype.h"
#include "tests/nccl/fake_device.h"

namespace {

using longhaul::core::DType;
using longhaul::test::FakeStream;

enum class Kind { kAllReduce, kReduceScatter, kAllGather, kBroadcast };

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
  return call.count * static_cast<size_t>(longhaul::core::size_of(dtype_of(call.type)));
}

/// One end of a message; of a rank's call, where it waits for the other end.
struct MessageEnd {
  bool sends = false;
  void* data = nullptr;
  size_t bytes = 0;
  int peer = 0;
  bool met = false;
};

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

  /// By sender and receiver: ends that wait for the other one, in order.
  struct Line {
    std::deque<MessageEnd*> sends, receives;
  };
  std::map<std::pair<int, int>, Line> lines;

  void meet(int64_t number, int rank, const Call& call);
  void perform(Meeting& meeting);
  void exchange(int rank, std::vector<MessageEnd> ends);
  void match(Line& line);
  bool hangs(int rank) const {
    const auto& faults = longhaul::test::nccl_faults();
    return faults.size == size && faults.hangs == rank;
  }
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
    if (first.kind == Kind::kBroadcast) {
      std::memmove(call.to, meeting.calls[static_cast<size_t>(call.root)].from, bytes);
    }
  }
}

void World::meet(int64_t number, int rank, const Call& call) {
  std::unique_lock lock(mutex);
  Meeting& meeting = meetings[number];
  meeting.calls.resize(static_cast<size_t>(size));
  meeting.calls[static_cast<size_t>(rank)] = call;
  if (!hangs(rank) && ++meeting.arrived == size) {
    perform(meeting);
    meeting.done = true;
    changed.notify_all();
  }
  changed.wait(lock, [&] { return meeting.done || left[static_cast<size_t>(rank)]; });
}

void World::match(Line& line) {
  while (!line.sends.empty() && !line.receives.empty()) {
    MessageEnd &from = *line.sends.front(), &to = *line.receives.front();
    mismatched = mismatched || from.bytes != to.bytes;
    if (!mismatched) std::memmove(to.data, from.data, to.bytes);
    from.met = to.met = true;
    line.sends.pop_front();
    line.receives.pop_front();
  }
}

/// All of one group of calls: none waits for another of them.
void World::exchange(int rank, std::vector<MessageEnd> ends) {
  std::unique_lock lock(mutex);
  const auto line_of = [&](const MessageEnd& end) -> Line& {
    return lines[end.sends ? std::pair(rank, end.peer) : std::pair(end.peer, rank)];
  };
  for (MessageEnd& end : ends) {
    if (hangs(rank)) break;
    Line& line = line_of(end);
    (end.sends ? line.sends : line.receives).push_back(&end);
    match(line);
  }
  changed.notify_all();
  changed.wait(lock, [&] {
    return left[static_cast<size_t>(rank)] ||
           std::all_of(ends.begin(), ends.end(), [](const MessageEnd& end) { return end.met; });
  });
  for (MessageEnd& end : ends) {
    Line& line = line_of(end);
    std::erase(end.sends ? line.sends : line.receives, &end);
  }
}

struct Registry {
  std::mutex mutex;
  std::map<int64_t, std::unique_ptr<World>> worlds;
  int64_t next_id = 1;
  std::atomic<int> communicators{0}, made{0}, made_narrow{0};
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

ncclResult_t put(ncclComm_t comm, cudaStream_t stream, std::function<void()> work) {
  ncclResult_t state = ncclSuccess;
  ncclCommGetAsyncError(comm, &state);
  if (state == ncclInProgress) return ncclInvalidUsage;  // the caller must ask first
  if (state != ncclSuccess) return state;  // came after the caller asked, as with the real one
  reinterpret_cast<FakeStream*>(stream)->push(std::move(work));
  return ncclInProgress;
}

ncclResult_t put(ncclComm_t comm, cudaStream_t stream, const Call& call) {
  return put(comm, stream, [world = comm->world, rank = comm->rank, number = comm->issued++, call] {
    world->meet(number, rank, call);
  });
}

/// Calls between ncclGroupStart and ncclGroupEnd of this thread: messages of one communicator.
struct Group {
  bool is_open = false;
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
  std::vector<MessageEnd> ends;
};
thread_local Group group;

ncclResult_t put_messages(ncclComm_t comm, cudaStream_t stream, std::vector<MessageEnd> ends) {
  return put(comm, stream, [world = comm->world, rank = comm->rank, ends = std::move(ends)] {
    world->exchange(rank, ends);
  });
}

ncclResult_t put(ncclComm_t comm, cudaStream_t stream, const MessageEnd& end) {
  if (end.peer < 0 || end.peer >= comm->world->size) return ncclInvalidArgument;
  if (!group.is_open) return put_messages(comm, stream, {end});
  if (!group.ends.empty() && (group.comm != comm || group.stream != stream))
    return ncclInvalidUsage;
  group.comm = comm;
  group.stream = stream;
  group.ends.push_back(end);
  return ncclSuccess;
}

void block_while(const std::atomic<bool>& fault) {
  while (fault) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

ncclResult_t leave(ncclComm_t comm, bool aborts) {
  if (aborts) block_while(longhaul::test::nccl_faults().aborts_block);
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
NcclMade nccl_made() { return {.narrow = registry().made_narrow, .all = registry().made}; }
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
  ++registry().made;
  if (config->maxCTAs > 0) ++registry().made_narrow;
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

const char* ncclGetLastError(ncclComm_t) { return "as asked for"; }

ncclResult_t ncclAllReduce(const void* from, void* to, size_t count, ncclDataType_t type,
                           ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  block_while(longhaul::test::nccl_faults().sums_block);
  return put(comm, stream, Call{Kind::kAllReduce, from, to, count, type});
}
ncclResult_t ncclReduceScatter(const void* from, void* to, size_t count, ncclDataType_t type,
                               ncclRedOp_t, ncclComm_t comm, cudaStream_t stream) {
  return put(comm, stream, Call{Kind::kReduceScatter, from, to, count, type});
}
ncclResult_t ncclAllGather(const void* from, void* to, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return put(comm, stream, Call{Kind::kAllGather, from, to, count, type});
}
ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  return put(comm, stream, Call{Kind::kBroadcast, from, to, count, type, root});
}
ncclResult_t ncclSend(const void* from, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  if (type != ncclInt8) return ncclInvalidArgument;
  return put(comm, stream, MessageEnd{true, const_cast<void*>(from), count, peer});
}
ncclResult_t ncclRecv(void* to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  if (type != ncclInt8) return ncclInvalidArgument;
  return put(comm, stream, MessageEnd{false, to, count, peer});
}

ncclResult_t ncclGroupStart() {
  if (group.is_open) return ncclInvalidUsage;
  group.is_open = true;
  return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
  if (!group.is_open) return ncclInvalidUsage;
  Group closed = std::exchange(group, {});
  if (closed.ends.empty()) return ncclSuccess;
  return put_messages(closed.comm, closed.stream, std::move(closed.ends));
}
}
