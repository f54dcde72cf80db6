#include "launch/environment/clock_offset.h"

#include <chrono>
#include <limits>

namespace longhaul::launch {

namespace {

constexpr int kRounds = 8;
constexpr int kTag = 8;

core::TensorView view_of(double& value) { return {&value, core::DType::kF64, {1}}; }

}  // namespace

double clock_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

ClockOffset measure_clock_offset(dist::Communicator& world, const std::function<double()>& now) {
  if (world.rank() == 0) {
    for (int peer = 1; peer < world.size(); ++peer) {
      for (int round = 0; round < kRounds; ++round) {
        double time = 0;
        world.receive(view_of(time), peer, kTag);
        time = now();
        world.send(view_of(time), peer, kTag);
      }
    }
    return {};
  }
  ClockOffset best{.seconds = 0, .uncertainty = std::numeric_limits<double>::infinity()};
  for (int round = 0; round < kRounds; ++round) {
    double time = now();
    const double sent = time;
    world.send(view_of(time), 0, kTag);
    world.receive(view_of(time), 0, kTag);
    const double received = now();
    const double uncertainty = (received - sent) / 2;
    if (uncertainty < best.uncertainty) {
      best = {.seconds = (sent + received) / 2 - time, .uncertainty = uncertainty};
    }
  }
  return best;
}

}  // namespace longhaul::launch
