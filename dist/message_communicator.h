// A communicator whose collectives are made of messages between pairs of ranks.
#pragma once

#include <bitset>
#include <memory>
#include <string>

#include "dist/communicator.h"
#include "dist/message_transport.h"
#include "dist/reduction.h"
#include "dist/staged_operation.h"

namespace longhaul::dist {

/// Sums are taken along one tree over the ranks (dist/reduction.h) whatever the size, so ranks,
/// runs and machines agree on every bit. Up to 16 ranks exchange with every other directly: one
/// latency, two where the volume counts. More go by doubling (dist/doubling.h): ⌈log₂ ranks⌉
/// messages; large buffers, which share out evenly, still directly. The collectives of MPI were
/// rejected: the order of their sums depends on version and topology, and the second phase of an
/// operation in flight could not be started in the same order on all ranks.
class MessageCommunicator final : public Communicator {
 public:
  explicit MessageCommunicator(std::unique_ptr<Transport> transport)
      : transport_(std::move(transport)) {}

  int rank() const override { return transport_->rank(); }
  int size() const override { return transport_->size(); }
  std::unique_ptr<Pending> start_broadcast(core::TensorView view, int root) override;
  std::unique_ptr<Pending> start_all_reduce_sum(core::TensorView view) override;
  std::unique_ptr<Pending> start_all_reduce_max(core::TensorView view) override;
  std::unique_ptr<Pending> start_all_gather(core::TensorView own,
                                            core::TensorView gathered) override;
  std::unique_ptr<Pending> start_reduce_scatter_sum(core::TensorView full,
                                                    core::TensorView own) override;
  std::unique_ptr<Pending> start_send(core::TensorView view, int peer, int tag) override;
  std::unique_ptr<Pending> start_receive(core::TensorView view, int peer, int tag) override;
  void barrier() override;
  Liveness* liveness() override { return transport_->progress().liveness(); }
  void begin_busy(const std::string& what) override { transport_->progress().begin_busy(what); }
  void end_busy() override { transport_->progress().end_busy(); }
  std::unique_ptr<Communicator> split(int color, int key) override;

 private:
  std::unique_ptr<Pending> start_broadcast_in_shares(core::TensorView view, int root);
  std::unique_ptr<Pending> start_all_reduce(core::TensorView view, Reduction reduction);
  std::unique_ptr<Pending> start_collective(const char* name, int64_t bytes,
                                            std::deque<StagedOperation::Stage> stages);

  std::unique_ptr<Transport> transport_;
  int64_t collectives_ = 0;       // started so far: the same on all ranks
  std::bitset<4096> tag_in_use_;  // their tags, used in turn
};

}  // namespace longhaul::dist
