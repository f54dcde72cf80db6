#pragma once

#include <cstdint>
#include <string>

namespace longhaul::core {

enum class DeviceKind : uint8_t { kCpu, kCuda };

/// Where memory lives and work runs. `index` is the CUDA ordinal; 0 for the CPU.
struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int index = 0;

  bool is_cpu() const { return kind == DeviceKind::kCpu; }
  bool operator==(const Device&) const = default;
};

inline std::string name_of(const Device& device) {
  return device.is_cpu() ? "cpu" : "cuda:" + std::to_string(device.index);
}

}  // namespace longhaul::core
