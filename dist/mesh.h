// Ranks as a grid: data × sequence. Ranks of one sequence group are neighbours (rank = data · S +
// sequence), so that they share a node where they can.
#pragma once

#include <memory>

#include "dist/communicator.h"

namespace longhaul::dist {

struct MeshShape {
  int data = 1;
  int sequence = 1;
};

/// Owns the two groups of this rank; `world` must outlive it. Construction is collective.
class Mesh {
 public:
  /// Throws InputError unless shape.data · shape.sequence = world.size().
  Mesh(Communicator& world, MeshShape shape);

  Communicator& world() const { return world_; }
  Communicator& data_group() const { return *data_group_; }  ///< ranks with this sequence index
  Communicator& sequence_group() const {
    return *sequence_group_;
  }  ///< ranks that share a sequence
  MeshShape shape() const { return shape_; }
  int data_rank() const { return data_group_->rank(); }
  int sequence_rank() const { return sequence_group_->rank(); }

 private:
  Communicator& world_;
  MeshShape shape_;
  std::unique_ptr<Communicator> data_group_;
  std::unique_ptr<Communicator> sequence_group_;
};

/// Tokens [begin, end) of a sequence that sequence rank `rank` of `ranks` holds: contiguous,
/// lengths differ by at most one, earlier ranks take the longer ones.
struct Segment {
  int64_t begin = 0, end = 0;
  int64_t length() const { return end - begin; }
};
Segment segment_of(int64_t length, int ranks, int rank);

}  // namespace longhaul::dist
