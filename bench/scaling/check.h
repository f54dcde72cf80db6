// What check/check.sh measured on emulated networks, beside what the model says of it.
#pragma once

#include <string>
#include <vector>

#include "bench/scaling/device.h"
#include "bench/scaling/network.h"

namespace longhaul::bench {

struct CheckedCase {
  std::string what, network;
  int64_t ranks = 1;
  double predicted_s = 0, measured_s = 0;
  double error() const { return predicted_s / measured_s - 1; }
};

struct CheckSetting {
  std::string measured;  ///< check.sh's results, one JSON object a line
  std::string run;       ///< the YAML of its training steps
  Network network;       ///< latency and rate of each case are put in
  Device device;         ///< scaled by the step of one rank
};
/// Throws InputError naming file and line.
std::vector<CheckedCase> checked_cases(const CheckSetting& setting);

std::string check_table(const std::vector<CheckedCase>& cases);

}  // namespace longhaul::bench
