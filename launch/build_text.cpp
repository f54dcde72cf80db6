#include "launch/build_text.h"

#include <string_view>

#include "dist/mpi_communicator.h"
#include "kernels/core/error.h"

namespace longhaul::launch {

// The definitions are launch/CMakeLists.txt's; empty is what was not there when CMake ran.
std::string build_text() {
  const auto or_none = [](std::string_view text) { return text.empty() ? "none" : text; };
  constexpr std::string_view kCommit = LONGHAUL_COMMIT;
  return core::message("longhaul ", LONGHAUL_VERSION, "\ncommit   ",
                       kCommit.empty() ? "not known" : kCommit, "\nbuild    ", LONGHAUL_BUILD,
                       "\nCUDA     ", or_none(LONGHAUL_CUDA_BUILT), "\nNCCL     ",
                       or_none(LONGHAUL_NCCL_BUILT), "\nMPI      ", dist::mpi_library());
}

}  // namespace longhaul::launch
