// Everybody receives every map, then composes those before its own segment.
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
    log_decays_pending_ = setting_.group.start_all_gather(args.log_decay, log_decays_);
    states_pending_ = setting_.group.start_all_gather(own, states_);
  }

  void finish() override {
    log_decays_pending_->wait();
    states_pending_->wait();
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
  ExchangeSetting setting_;
  Tensor first_, log_decays_, states_;
  std::unique_ptr<Pending> log_decays_pending_, states_pending_;
};

}  // namespace

std::unique_ptr<StateExchange::Run> start_all_gather_exchange(const ExchangeSetting& setting) {
  return std::make_unique<AllGatherRun>(setting);
}

}  // namespace longhaul::dist
