// Any text as config.json of the state-spaces package: refused, or a configuration that survives
// being written and read again, or is refused by name in writing.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "kernels/core/error.h"
#include "model/checkpoint/state_spaces/state_spaces_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longhaul;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string written;
  try {
    written = model::state_spaces_config_json(model::parse_state_spaces_config(text, "input"));
  } catch (const core::InputError&) {
    return 0;
  }
  try {
    const auto again = model::parse_state_spaces_config(written, "written");
    if (model::state_spaces_config_json(again) != written) std::abort();
  } catch (const core::InputError&) {
    std::abort();
  }
  return 0;
}
