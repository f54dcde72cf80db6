// What a rank computes with: published ceilings and the shares of them that are assumed, or times
// measured by bench_ops and bench_train_step in their place.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/device.h"
#include "kernels/core/dtype.h"
#include "kernels/core/fields.h"

namespace longhaul::bench {

enum class ElementType { kF32, kBF16 };
inline const std::vector<std::string_view>& enum_names(ElementType) {
  static const std::vector<std::string_view> names{"fp32", "bf16"};
  return names;
}

/// Measured rates of one op; 0: not measured.
struct OpRates {
  double flops_per_second = 0, bytes_per_second = 0;
};

struct Device {
  std::string name, source;  ///< source: where the figures come from
  ElementType dtype = ElementType::kF32;
  double flops_per_second = 0;  ///< ceiling of matrix products
  double linear_share = 1;      ///< of it that linear layers and the loss reach
  double scan_share = 1;        ///< that the SSD's products reach
  double bytes_per_second = 0;  ///< ceiling of the memory
  double bytes_share = 1;
  double launch_s = 0;             ///< least time of a kernel
  double memory_bytes = 0;         ///< that a run may take; 0: any
  int64_t processors = 0;          ///< shared by all ranks of a machine; 0: each rank has a GPU
  double measured_over_model = 1;  ///< bench_train_step's step over the one computed

  std::map<std::string, OpRates> measured;  ///< by bench_ops' names

  core::DType element() const {
    return dtype == ElementType::kBF16 ? core::DType::kBF16 : core::DType::kF32;
  }
  core::DeviceKind kind() const {
    return processors > 0 ? core::DeviceKind::kCpu : core::DeviceKind::kCuda;
  }
  template <class V>
  void visit(V& v) {
    v.field("name", name, "for tables");
    v.field("source", source, "where the figures come from");
    v.field("dtype", dtype, "fp32 | bf16");
    v.field("flops_per_second", flops_per_second, "ceiling of matrix products", core::Above{0});
    v.field("linear_share", linear_share, "of it that linear layers reach", core::Within{0.001, 1});
    v.field("scan_share", scan_share, "of it that the SSD reaches", core::Within{0.001, 1});
    v.field("bytes_per_second", bytes_per_second, "ceiling of the memory", core::Above{0});
    v.field("bytes_share", bytes_share, "of it that ops reach", core::Within{0.001, 1});
    v.field("launch_s", launch_s, "least time of a kernel", core::AtLeast{0});
    v.field("memory_bytes", memory_bytes, "that a run may take; 0: any", core::AtLeast{0});
    v.field("processors", processors, "shared by all ranks; 0: each rank has a GPU",
            core::AtLeast{0});
  }
};

/// Throws InputError: every problem with its line.
Device read_device(const std::string& path);

}  // namespace longhaul::bench
