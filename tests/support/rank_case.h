// A test that all ranks of a communicator run together; threads and MPI run the same list.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "dist/communicator.h"

namespace longhaul::test {

struct RankCase {
  std::string name;
  std::function<void(dist::Communicator&)> body;
};

inline std::ostream& operator<<(std::ostream& out, const RankCase& rank_case) {
  return out << rank_case.name;
}

}  // namespace longhaul::test
