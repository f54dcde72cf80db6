// Ranks of one process on the emulated device: its memory is the host's, so a host communicator can
// stand in for NCCL as long as somebody holds it open (simt::DeviceAccess).
#pragma once

#include <memory>
#include <utility>

#include "dist/communicator.h"

namespace longhaul::testing {

class DeviceViewCommunicator final : public dist::Communicator {
 public:
  /// `inner` outlives it.
  explicit DeviceViewCommunicator(dist::Communicator& inner) : inner_(inner) {}
  explicit DeviceViewCommunicator(std::unique_ptr<dist::Communicator> inner)
      : owned_(std::move(inner)), inner_(*owned_) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  bool has_free_messages() const override { return false; }  // as NCCL
  std::unique_ptr<dist::Pending> start_broadcast(core::TensorView view, int root) override {
    return inner_.start_broadcast(on_host(view), root);
  }
  std::unique_ptr<dist::Pending> start_all_reduce_sum(core::TensorView view) override {
    return inner_.start_all_reduce_sum(on_host(view));
  }
  std::unique_ptr<dist::Pending> start_all_reduce_max(core::TensorView view) override {
    return inner_.start_all_reduce_max(on_host(view));
  }
  std::unique_ptr<dist::Pending> start_all_gather(core::TensorView own,
                                                  core::TensorView gathered) override {
    return inner_.start_all_gather(on_host(own), on_host(gathered));
  }
  std::unique_ptr<dist::Pending> start_reduce_scatter_sum(core::TensorView full,
                                                          core::TensorView own) override {
    return inner_.start_reduce_scatter_sum(on_host(full), on_host(own));
  }
  std::unique_ptr<dist::Pending> start_send(core::TensorView view, int peer, int tag) override {
    return inner_.start_send(on_host(view), peer, tag);
  }
  std::unique_ptr<dist::Pending> start_receive(core::TensorView view, int peer, int tag) override {
    return inner_.start_receive(on_host(view), peer, tag);
  }
  void barrier() override { inner_.barrier(); }
  std::unique_ptr<dist::Communicator> split(int color, int key) override {
    return std::make_unique<DeviceViewCommunicator>(inner_.split(color, key));
  }

 private:
  static core::TensorView on_host(const core::TensorView& view) {
    return {view.raw(), view.dtype(), view.shape()};
  }

  std::unique_ptr<dist::Communicator> owned_;
  dist::Communicator& inner_;
};

}  // namespace longhaul::testing
