// Any text as a run's YAML, its last line also as an override: refused, or a configuration that
// survives being written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "launch/run_config.h"

namespace {

void require_round_trip(const longhaul::launch::RunConfig& config) {
  using namespace longhaul::launch;
  const std::string written = to_yaml(config);
  try {
    if (to_yaml(parse_run_config(written, "written")) != written) std::abort();
  } catch (const longhaul::core::InputError&) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const size_t last = text.rfind('\n') + 1;  // 0 where there is none
  try {
    require_round_trip(longhaul::launch::parse_run_config(text, "input"));
    longhaul::launch::parse_run_config(text, "input", {text.substr(last)});
  } catch (const longhaul::core::InputError&) {
  }
  return 0;
}
