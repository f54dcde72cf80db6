#include "dist/mesh.h"

#include <glog/logging.h>

#include <algorithm>

#include "kernels/core/error.h"

namespace longhaul::dist {

namespace {

MeshShape checked(MeshShape shape, int ranks) {
  if (shape.data < 1 || shape.sequence < 1 || int64_t{shape.data} * shape.sequence != ranks) {
    throw core::InputError(core::message("parallel: data ranks (", shape.data,
                                         ") times sequence ranks (", shape.sequence,
                                         ") must be the number of ranks, which is ", ranks));
  }
  return shape;
}

}  // namespace

Mesh::Mesh(Communicator& world, MeshShape shape)
    : world_(world),
      shape_(checked(shape, world.size())),
      data_group_(world.split(world.rank() % shape.sequence, world.rank())),
      sequence_group_(world.split(world.rank() / shape.sequence, world.rank())) {}

Segment segment_of(int64_t length, int ranks, int rank) {
  CHECK(length >= 0 && ranks >= 1 && rank >= 0 && rank < ranks);
  const int64_t base = length / ranks, longer = length % ranks;
  const int64_t begin = rank * base + std::min<int64_t>(rank, longer);
  return {begin, begin + base + (rank < longer ? 1 : 0)};
}

}  // namespace longhaul::dist
