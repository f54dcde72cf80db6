#include "tests/nccl/staging_communicator.h"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

namespace longhaul::test {

namespace {

using core::TensorView;
using dist::Communicator;
using dist::Pending;

/// A host view's place on the device.
class Staged {
 public:
  Staged(StagingDevice& device, const TensorView& host)
      : device_(device),
        host_(host),
        memory_(device.allocate(std::max<int64_t>(1, host.bytes())), device.release) {}
  TensorView view() const { return {memory_.get(), host_.dtype(), host_.shape(), device_.device}; }
  void to_device() const { copy(memory_.get(), host_.raw()); }
  void to_host() const { copy(host_.raw(), memory_.get()); }
  void wait_for_device() const { device_.runtime.synchronize(device_.compute_stream); }

 private:
  void copy(void* to, const void* from) const {
    if (host_.bytes() == 0) return;
    device_.runtime.copy(to, from, host_.bytes(), device_.compute_stream);
    device_.runtime.synchronize(device_.compute_stream);
  }
  StagingDevice& device_;
  TensorView host_;
  std::unique_ptr<void, std::function<void(void*)>> memory_;
};

class StagedPending final : public Pending {
 public:
  StagedPending(std::vector<Staged> sources, std::vector<Staged> results)
      : sources_(std::move(sources)), results_(std::move(results)) {}
  ~StagedPending() override {
    if (std::uncaught_exceptions() == 0) wait();
  }
  void start(std::unique_ptr<Pending> inner) { inner_ = std::move(inner); }
  void wait() override {
    inner_->wait();
    finish();
  }
  bool test() override {
    if (!inner_->test()) return false;
    finish();
    return true;
  }

 private:
  void finish() {
    if (std::exchange(finished_, true)) return;
    for (const Staged& result : results_) result.to_host();
    for (const Staged& source : sources_) source.wait_for_device();  // its memory goes at once
  }
  std::vector<Staged> sources_, results_;
  std::unique_ptr<Pending> inner_;
  bool finished_ = false;
};

class StagingCommunicator final : public Communicator {
 public:
  StagingCommunicator(StagingDevice& device, Communicator& inner,
                      std::unique_ptr<Communicator> owned = nullptr)
      : device_(device), owned_(std::move(owned)), inner_(inner) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  bool has_free_messages() const override { return inner_.has_free_messages(); }
  void begin_busy(const std::string& what) override { inner_.begin_busy(what); }
  void end_busy() override { inner_.end_busy(); }
  std::unique_ptr<Pending> start_broadcast(TensorView view, int root) override {
    return in_place(view, [&](const TensorView& v) { return inner_.start_broadcast(v, root); });
  }
  std::unique_ptr<Pending> start_all_reduce_sum(TensorView view) override {
    return in_place(view, [&](const TensorView& v) { return inner_.start_all_reduce_sum(v); });
  }
  std::unique_ptr<Pending> start_all_reduce_max(TensorView view) override {
    return in_place(view, [&](const TensorView& v) { return inner_.start_all_reduce_max(v); });
  }
  std::unique_ptr<Pending> start_receive(TensorView view, int peer, int tag) override {
    return in_place(view, [&](const TensorView& v) { return inner_.start_receive(v, peer, tag); });
  }
  std::unique_ptr<Pending> start_send(TensorView view, int peer, int tag) override {
    return in_place(view, [&](const TensorView& v) { return inner_.start_send(v, peer, tag); });
  }
  std::unique_ptr<Pending> start_all_gather(TensorView own, TensorView gathered) override {
    return from_to(own, gathered, [&](const TensorView& from, const TensorView& to) {
      return inner_.start_all_gather(from, to);
    });
  }
  std::unique_ptr<Pending> start_reduce_scatter_sum(TensorView full, TensorView own) override {
    return from_to(full, own, [&](const TensorView& from, const TensorView& to) {
      return inner_.start_reduce_scatter_sum(from, to);
    });
  }
  std::unique_ptr<Pending> start_transfers(const std::vector<dist::Transfer>& sends,
                                           const std::vector<dist::Transfer>& receives) override {
    std::vector<Staged> sources, results;
    const auto stage = [this](const std::vector<dist::Transfer>& host,
                              std::vector<Staged>& staged) {
      std::vector<dist::Transfer> on_device;
      for (const auto& [view, peer] : host) {
        staged.emplace_back(device_, view).to_device();
        on_device.push_back({staged.back().view(), peer});
      }
      return on_device;
    };
    const auto from = stage(sends, sources), to = stage(receives, results);
    auto pending = std::make_unique<StagedPending>(std::move(sources), std::move(results));
    pending->start(inner_.start_transfers(from, to));
    return pending;
  }
  void barrier() override { inner_.barrier(); }
  std::unique_ptr<Communicator> split(int color, int key) override {
    auto part = inner_.split(color, key);
    Communicator& inner = *part;
    return std::make_unique<StagingCommunicator>(device_, inner, std::move(part));
  }

 private:
  template <class Start>
  std::unique_ptr<Pending> in_place(const TensorView& host, const Start& start) {
    std::vector<Staged> results;
    results.emplace_back(device_, host);
    results.back().to_device();
    const TensorView view = results.back().view();
    auto pending = std::make_unique<StagedPending>(std::vector<Staged>{}, std::move(results));
    pending->start(start(view));
    return pending;
  }
  template <class Start>
  std::unique_ptr<Pending> from_to(const TensorView& from, const TensorView& to,
                                   const Start& start) {
    std::vector<Staged> sources, results;
    sources.emplace_back(device_, from);
    sources.back().to_device();
    results.emplace_back(device_, to);
    results.back().to_device();
    const TensorView source = sources.back().view(), target = results.back().view();
    auto pending = std::make_unique<StagedPending>(std::move(sources), std::move(results));
    pending->start(start(source, target));
    return pending;
  }

  StagingDevice& device_;
  std::unique_ptr<Communicator> owned_;
  Communicator& inner_;
};

}  // namespace

std::unique_ptr<Communicator> staging_communicator(StagingDevice& device, Communicator& inner) {
  return std::make_unique<StagingCommunicator>(device, inner);
}

}  // namespace longhaul::test
