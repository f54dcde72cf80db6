#pragma once

#include <string>

namespace longhaul::core {

/// "driver 13.0, runtime 12.8": the newest CUDA that the driver knows, and that of this program.
std::string cuda_versions();

}  // namespace longhaul::core
