// Rank after rank passes on its true S_out, in blocks: a rank works on one block while the next one
// travels.
#include <algorithm>
#include <vector>

#include "dist/exchange_runs.h"
#include "dist/segment_map.h"

namespace longhaul::dist {

namespace {

using core::Tensor;
using core::TensorView;

// A block is large enough that its transfer outweighs a message's latency; W − 1 + blocks steps in
// all.
constexpr int64_t kBlockBytes = 128 << 10;
constexpr int64_t kMostBlocks = 32;

class ChainRun final : public StateExchange::Run {
 public:
  explicit ChainRun(const ExchangeSetting& setting) : setting_(setting) {
    const ExchangeArgs& args = setting_.args;
    blocks_ = chain_blocks(args.state.bytes());
    sends_ = setting_.position() < setting_.last();
    if (setting_.position() == 0) {
      args.boundary ? core::copy(setting_.context, args.boundary, args.incoming)
                    : core::set_zero(setting_.context, args.incoming);
    } else {
      for (int64_t b = 0; b < blocks_; ++b) {
        receives_.push_back(setting_.group.start_receive(
            block(args.incoming, b), setting_.at(setting_.position() - 1), setting_.tag));
      }
    }
    if (sends_) outgoing_ = Tensor(setting_.context, setting_.dtype(), args.state.shape());
    if (setting_.position() == 0) pass_on_all();
  }

  void finish() override {
    if (setting_.position() > 0) pass_on_all();
    for (auto& pending : sending_) pending->wait();
  }

 private:
  int64_t begin_of(int64_t b) const { return setting_.args.state.elements() * b / blocks_; }
  TensorView block(const TensorView& view, int64_t b) const {
    return view.reshape({view.elements()}).slice(0, begin_of(b), begin_of(b + 1));
  }

  void pass_on_all() {
    const ExchangeArgs& args = setting_.args;
    for (int64_t b = 0; b < blocks_; ++b) {
      if (!receives_.empty()) receives_[static_cast<size_t>(b)]->wait();
      if (!sends_) continue;
      apply_maps(setting_.context, {args.log_decay, args.incoming, args.state, outgoing_},
                 begin_of(b), begin_of(b + 1));
      sending_.push_back(setting_.group.start_send(
          block(outgoing_, b), setting_.at(setting_.position() + 1), setting_.tag));
    }
  }

  ExchangeSetting setting_;
  int64_t blocks_ = 1;
  bool sends_ = false;
  Tensor outgoing_;
  std::vector<std::unique_ptr<Pending>> receives_, sending_;
};

}  // namespace

int64_t chain_blocks(int64_t state_bytes) {
  return std::clamp<int64_t>(state_bytes / kBlockBytes, 1, kMostBlocks);
}

std::unique_ptr<StateExchange::Run> start_chain_exchange(const ExchangeSetting& setting) {
  return std::make_unique<ChainRun>(setting);
}

}  // namespace longhaul::dist
