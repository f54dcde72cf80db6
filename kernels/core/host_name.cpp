#include "kernels/core/host_name.h"

#include <unistd.h>

#include <array>

namespace longhaul::core {

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);  // a failure leaves it empty
  return name.data();
}

}  // namespace longhaul::core
