// Whether the devices of all ranks can work together.
#pragma once

#include <string>
#include <vector>

#include "kernels/core/device.h"

namespace longhaul::dist {
class Communicator;
}

namespace longhaul::launch {

struct RankDevice {
  std::string host;     ///< as NCCL tells hosts apart
  std::string card;     ///< its place on the bus; empty: the rank computes on the CPU
  std::string lacking;  ///< then why there is none
};

/// Why not: some ranks have a GPU and some have none, or two have the same one. Empty if they can.
std::string device_conflict(const std::vector<RankDevice>& by_rank);

/// Throws InputError on all ranks alike. Collective.
void check_devices(dist::Communicator& world, core::Device own);

}  // namespace longhaul::launch
