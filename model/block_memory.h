#pragma once

#include <cstdint>
#include <memory>

namespace longhaul::model {

/// The allocations of a block, replayed without data: what memory plans are made of. One goes over
/// all layers; those of one model allocate alike.
class BlockMemory {
 public:
  /// What backward needs of a forward pass; its memory is in use while it lives.
  class Kept {
   public:
    virtual ~Kept() = default;
  };
  virtual ~BlockMemory() = default;
  /// nullptr unless `keep`. `exchanges`: states travel (not so when a segment is run again on its
  /// own).
  virtual std::unique_ptr<Kept> forward(bool keep, bool exchanges) = 0;
  virtual void backward(Kept& kept) = 0;
  /// Bytes of an exchange of states and its halo, one direction.
  virtual int64_t exchange_bytes() const = 0;
};

}  // namespace longhaul::model
