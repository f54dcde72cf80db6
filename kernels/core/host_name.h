#pragma once

#include <string>

namespace longhaul::core {

/// Of this machine, as it calls itself; "" where it cannot be told.
std::string host_name();

}  // namespace longhaul::core
