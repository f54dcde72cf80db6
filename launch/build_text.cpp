#include "launch/build_text.h"

#include <string_view>

#include "dist/mpi_communicator.h"
#include "kernels/core/error.h"

namespace longhaul::launch {

// The definitions are launch/CMakeLists.txt's; empty is what was not there when CMake ran.
namespace {

constexpr std::string_view kFound = LONGHAUL_COMMIT;
constexpr std::string_view kCommit = kFound.empty() ? "not known" : kFound;

}  // namespace

std::string program_version() {
  return core::message("longhaul ", LONGHAUL_VERSION, ", commit ", kCommit);
}

std::string build_text() {
  const auto or_none = [](std::string_view text) { return text.empty() ? "none" : text; };
  return core::message("longhaul ", LONGHAUL_VERSION, "\ncommit   ", kCommit, "\nbuild    ",
                       LONGHAUL_BUILD, "\nCUDA     ", or_none(LONGHAUL_CUDA_BUILT), "\nNCCL     ",
                       or_none(LONGHAUL_NCCL_BUILT), "\nMPI      ", dist::mpi_library());
}

}  // namespace longhaul::launch
