#include "bench/scaling/device.h"

#include "kernels/core/error.h"
#include "launch/yaml_reader.h"

namespace longhaul::bench {

using core::InputError;

Device read_device(const std::string& path) {
  launch::YamlDocument document(launch::read_yaml_text(path, "a device"), path);
  Device device;
  launch::YamlReader reader(document);
  device.visit(reader);
  reader.finish();
  const auto need = [&](double value, const std::string& key) {
    if (value > 0 || document.has_problem(key)) return;
    document.report(document.line_of(key), key, "is missing");
  };
  need(device.flops_per_second, "flops_per_second");
  need(device.bytes_per_second, "bytes_per_second");
  const core::Problems problems = document.problems();
  if (!problems.empty()) throw InputError(problems);
  return device;
}

}  // namespace longhaul::bench
