// Everybody receives every map before its own segment, then composes them. NCCL's
// all-gather carries the maps, to all; else each rank sends its own to those behind it, which is
// half as much, and nobody waits for what it does not need.
#include <vector>

#include "dist/exchange_runs.h"
#include "dist/segment_map.h"

namespace longhaul::dist {

namespace {

using core::Tensor;
using core::TensorView;

class AllGatherRun final : public StateExchange::Run {
 public:
  explicit AllGatherRun(const ExchangeSetting& setting)
      : setting_(setting),
        log_decays_(setting.context, setting.dtype(),
                    {setting.group.size(), setting.args.log_decay.elements()}),
        states_(setting.context, setting.dtype(),
                {setting.group.size(), setting.args.state.elements()}) {
    const ExchangeArgs& args = setting_.args;
    TensorView own = args.state;
    if (setting_.position() == 0 && args.boundary) {
      // The first rank knows its S_in: its contribution is the true S_out, nobody else needs the
      // boundary.
      first_ = Tensor(setting_.context, setting_.dtype(), args.state.shape());
      own = first_;
      apply_maps(setting_.context, {args.log_decay, args.boundary, args.state, own});
    }
    if (setting_.group.has_free_messages()) {
      send_to_those_behind(own);
    } else {
      under_way_.push_back(setting_.group.start_all_gather(args.log_decay, log_decays_));
      under_way_.push_back(setting_.group.start_all_gather(own, states_));
    }
  }

  void finish() override {
    for (const auto& pending : under_way_) pending->wait();
    const ExchangeArgs& args = setting_.args;
    const int position = setting_.position();
    if (position == 0) {
      args.boundary ? core::copy(setting_.context, args.boundary, args.incoming)
                    : core::set_zero(setting_.context, args.incoming);
    }
    for (int i = 0; i < position; ++i) {
      const int rank = setting_.at(i);
      const TensorView before = i == 0 ? TensorView() : args.incoming;
      apply_maps(setting_.context, {log_decays_.view().select(0, rank), before,
                                    states_.view().select(0, rank), args.incoming});
    }
  }

 private:
  void send_to_those_behind(const TensorView& own) {
    Communicator& group = setting_.group;
    const TensorView log_decay = setting_.args.log_decay;
    for (int i = 0; i < setting_.position(); ++i) {
      const int rank = setting_.at(i);
      for (const Tensor* maps : {&log_decays_, &states_}) {
        under_way_.push_back(group.start_receive(maps->view().select(0, rank), rank, setting_.tag));
      }
    }
    for (int i = setting_.position() + 1; i <= setting_.last(); ++i) {
      under_way_.push_back(group.start_send(log_decay, setting_.at(i), setting_.tag));
      under_way_.push_back(group.start_send(own, setting_.at(i), setting_.tag));
    }
  }

  ExchangeSetting setting_;
  Tensor first_, log_decays_, states_;
  std::vector<std::unique_ptr<Pending>> under_way_;
};

}  // namespace

std::unique_ptr<StateExchange::Run> start_all_gather_exchange(const ExchangeSetting& setting) {
  return std::make_unique<AllGatherRun>(setting);
}

}  // namespace longhaul::dist
