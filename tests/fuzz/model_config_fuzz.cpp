// Any text as config.json: refused, or a configuration that survives being written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "kernels/core/error.h"
#include "model/checkpoint/config_json.h"

namespace {

void require_round_trip(const longhaul::model::ModelConfig& config) {
  using namespace longhaul::model;
  const std::string written = model_config_json(config, "float32");
  try {
    if (model_config_json(parse_model_config(written, "written"), "float32") != written) {
      std::abort();
    }
  } catch (const longhaul::core::InputError&) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    require_round_trip(longhaul::model::parse_model_config(text, "input"));
  } catch (const longhaul::core::InputError&) {
  }
  return 0;
}
