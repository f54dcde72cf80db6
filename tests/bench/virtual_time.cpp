#include "tests/bench/virtual_time.h"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <utility>

#include "dist/thread_communicator.h"

namespace longhaul::test {

namespace {

using core::TensorView;
using dist::Pending;

constexpr int kStampTag = 8192;  // added to a message's tag: when it arrives

class VirtualCommunicator final : public dist::Communicator {
 public:
  VirtualCommunicator(dist::Communicator& inner, const bench::Network& network, VirtualRank& self)
      : inner_(inner), network_(network), self_(self) {}

  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }

  std::unique_ptr<Pending> start_send(TensorView view, int peer, int tag) override {
    const bool near = rank() / network_.ranks_per_node == peer / network_.ranks_per_node;
    const bench::Link& link = near ? network_.inside : network_.between;
    self_.now += network_.message_s;
    self_.link_free = std::max(self_.now, self_.link_free) +
                      static_cast<double>(view.bytes()) / (link.bytes_per_second * link.share);
    self_.bytes += static_cast<double>(view.bytes());
    ++self_.messages;
    return std::make_unique<Sent>(inner_, self_, view, Place{peer, tag},
                                  self_.link_free + link.latency_s);
  }
  std::unique_ptr<Pending> start_receive(TensorView view, int peer, int tag) override {
    return std::make_unique<Received>(inner_, self_, view, Place{peer, tag});
  }
  std::unique_ptr<Pending> start_all_gather(TensorView, TensorView) override { return none(); }
  std::unique_ptr<Pending> start_broadcast(TensorView, int) override { return none(); }
  std::unique_ptr<Pending> start_all_reduce_sum(TensorView) override { return none(); }
  std::unique_ptr<Pending> start_all_reduce_max(TensorView) override { return none(); }
  std::unique_ptr<Pending> start_reduce_scatter_sum(TensorView, TensorView) override {
    return none();
  }
  void barrier() override { inner_.barrier(); }
  std::unique_ptr<Communicator> split(int, int) override { throw std::logic_error("not used"); }

 private:
  struct Place {
    int peer = 0, tag = 0;
  };
  static std::unique_ptr<Pending> none() { throw std::logic_error("not used here"); }
  static TensorView view_of(double& number) { return {&number, core::DType::kF64, {1}}; }

  class Sent final : public Pending {
   public:
    Sent(dist::Communicator& inner, VirtualRank& self, TensorView view, Place to, double arrival)
        : self_(self), arrival_(arrival), sent_(self.link_free) {
      stamp_ = inner.start_send(view_of(arrival_), to.peer, to.tag + kStampTag);
      data_ = inner.start_send(view, to.peer, to.tag);
    }
    void wait() override {
      stamp_->wait();
      data_->wait();
      self_.now = std::max(self_.now, sent_);
    }
    bool test() override { throw std::logic_error("not used here"); }

   private:
    VirtualRank& self_;
    double arrival_, sent_;
    std::unique_ptr<Pending> stamp_, data_;
  };

  class Received final : public Pending {
   public:
    Received(dist::Communicator& inner, VirtualRank& self, TensorView view, Place from)
        : self_(self) {
      stamp_ = inner.start_receive(view_of(arrival_), from.peer, from.tag + kStampTag);
      data_ = inner.start_receive(view, from.peer, from.tag);
    }
    void wait() override {
      stamp_->wait();
      data_->wait();
      self_.now = std::max(self_.now, arrival_);
    }
    bool test() override { throw std::logic_error("not used here"); }

   private:
    VirtualRank& self_;
    double arrival_ = 0;
    std::unique_ptr<Pending> stamp_, data_;
  };

  dist::Communicator& inner_;
  const bench::Network& network_;
  VirtualRank& self_;
};

}  // namespace

void run_in_virtual_time(int ranks, const bench::Network& network,
                         const std::function<void(dist::Communicator&, VirtualRank&)>& body) {
  dist::run_thread_ranks(ranks, [&](dist::Communicator& inner) {
    VirtualRank self;
    VirtualCommunicator world(inner, network, self);
    body(world, self);
  });
}

}  // namespace longhaul::test
