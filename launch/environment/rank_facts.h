// What a rank finds where it runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dist/communicator.h"

namespace longhaul::launch {

/// Bytes are −1 and texts empty where they could not be found out.
struct RankFacts {
  int rank = 0;
  int64_t pid = 0;
  std::string host;
  std::string version;  ///< of longhaul
  std::string build;    ///< first digits of the program's build ID: other bits, other ID
  std::string mpi;      ///< library and its version
  std::string cuda;     ///< versions of driver and runtime; empty without CUDA
  std::string device;   ///< name of the device that is computed on
  int64_t device_bytes = -1;
  int64_t block_bytes = -1;             ///< of shared memory that a block of its threads can have
  std::vector<std::string> interfaces;  ///< that are up, with an address; not the loopback
  int cores = 0;                        ///< that this process may run on
  int threads = 1;                      ///< that it is going to have
  double clock_offset_s = 0;            ///< this host's clock minus that of rank 0's
  double clock_uncertainty_s = 0;       ///< the offset is so far off at most
  int64_t folder_free_bytes = -1;       ///< of the run folder's file system, for this user
  int64_t shm_free_bytes = -1;          ///< of /dev/shm
  int64_t memory_free_bytes = -1;       ///< of this host, that programs can still get
  bool sees_folder = true;              ///< found what rank 0 wrote in the run folder

  template <class V>
  void visit(V& v) {
    v("rank", rank), v("pid", pid), v("host", host), v("version", version), v("build", build);
    v("mpi", mpi), v("cuda", cuda), v("device", device), v("device_bytes", device_bytes);
    v("block_bytes", block_bytes);
    v("interfaces", interfaces), v("cores", cores), v("threads", threads);
    v("clock_offset_s", clock_offset_s), v("clock_uncertainty_s", clock_uncertainty_s);
    v("folder_free_bytes", folder_free_bytes), v("shm_free_bytes", shm_free_bytes);
    v("memory_free_bytes", memory_free_bytes), v("sees_folder", sees_folder);
  }
};

/// What this process can find out alone: host, pid, version, build, interfaces, cores, /dev/shm.
RankFacts own_facts(int rank);

/// For the user that runs this, in the file system of `folder`; −1 where that cannot be found out.
int64_t free_bytes(const std::string& folder);

/// That programs can still get on this host; −1 where that cannot be found out.
int64_t free_memory();

/// All ranks' facts in rank order, on rank 0; empty elsewhere. Collective. Keys that this build
/// does not know are left out, so that ranks of other builds can be told of.
std::vector<RankFacts> gather_facts(dist::Communicator& world, RankFacts own);

}  // namespace longhaul::launch
