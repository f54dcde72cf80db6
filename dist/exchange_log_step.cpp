// Exclusive scan in ⌈log₂ ranks⌉ rounds (Hillis and Steele, "Data parallel algorithms", CACM 1986).
// In round d = 1, 2, 4, … position p sends the map of the segments (p − d, p] to p + d and prepends
// what came from p − d.
#include <limits>
#include <vector>

#include "dist/exchange_runs.h"
#include "dist/segment_map.h"

namespace longhaul::dist {

namespace {

using core::Tensor;
using core::TensorView;

/// A map in one message: log-decays, then states.
class PackedMap {
 public:
  PackedMap() = default;
  PackedMap(core::Context& context, core::DType dtype, int64_t rows, int64_t elements)
      : rows_(rows), all_(context, dtype, {rows + elements}) {}
  TensorView all() const { return all_; }
  TensorView log_decay() const { return all_.view().slice(0, 0, rows_); }
  TensorView state() const { return all_.view().slice(0, rows_, all_.elements()); }

 private:
  int64_t rows_ = 0;
  Tensor all_;
};

class LogStepRun final : public StateExchange::Run {
 public:
  explicit LogStepRun(const ExchangeSetting& setting) : setting_(setting) {
    const int position = setting_.position();
    for (int d = 1; d <= position; d *= 2) {
      arriving_.push_back(new_map());
      receives_.push_back(setting_.group.start_receive(arriving_.back().all(),
                                                       setting_.at(position - d), setting_.tag));
    }
    if (position < setting_.last()) {
      inclusive_ = new_map();
      const ExchangeArgs& args = setting_.args;
      if (position == 0) {
        // Nothing precedes the first segment: its map is the constant S_out.
        fill(setting_.context, inclusive_.log_decay(), -std::numeric_limits<double>::infinity());
      } else {
        core::copy(setting_.context, flat(args.log_decay), inclusive_.log_decay());
      }
      apply_maps(setting_.context,
                 {flat(args.log_decay), position == 0 ? args.boundary : TensorView(),
                  flat(args.state), inclusive_.state()});
      start_send_to(position + 1);
    }
  }

  void finish() override {
    const ExchangeArgs& args = setting_.args;
    const int position = setting_.position();
    if (position == 0 && args.boundary) {
      core::copy(setting_.context, args.boundary, args.incoming);
    } else if (position == 0) {
      core::set_zero(setting_.context, args.incoming);
    }
    Tensor decay_so_far(setting_.context, setting_.dtype(), {args.log_decay.elements()});
    for (int round = 0, d = 1; d < setting_.group.size(); ++round, d *= 2) {
      if (d <= position) {
        receives_[static_cast<size_t>(round)]->wait();
        const PackedMap& earlier = arriving_[static_cast<size_t>(round)];
        prepend_to_incoming(earlier, round == 0, decay_so_far);
      }
      if (sending_) sending_->wait();
      if (position + 2 * d > setting_.last()) continue;
      if (d <= position) {
        const PackedMap& earlier = arriving_[static_cast<size_t>(round)];
        apply_maps(setting_.context, {inclusive_.log_decay(), earlier.state(), inclusive_.state(),
                                      inclusive_.state()});
        add_log_decays(setting_.context, earlier.log_decay(), inclusive_.log_decay());
      }
      start_send_to(position + 2 * d);
    }
  }

 private:
  PackedMap new_map() const {
    return {setting_.context, setting_.dtype(), setting_.args.log_decay.elements(),
            setting_.args.state.elements()};
  }
  static TensorView flat(const TensorView& view) { return view.reshape({view.elements()}); }

  void start_send_to(int position) {
    sending_ = setting_.group.start_send(inclusive_.all(), setting_.at(position), setting_.tag);
  }

  /// incoming is the state part of the exclusive map of (position − d, position); decay its
  /// log-decay.
  void prepend_to_incoming(const PackedMap& earlier, bool is_first, const TensorView& decay) {
    const TensorView incoming = flat(setting_.args.incoming);
    if (is_first) {
      core::copy(setting_.context, earlier.state(), incoming);
      core::copy(setting_.context, earlier.log_decay(), decay);
    } else {
      apply_maps(setting_.context, {decay, earlier.state(), incoming, incoming});
      add_log_decays(setting_.context, earlier.log_decay(), decay);
    }
  }

  ExchangeSetting setting_;
  PackedMap inclusive_;              // segments (position − d, position]
  std::vector<PackedMap> arriving_;  // one a round: posted before anybody can wait for them
  std::vector<std::unique_ptr<Pending>> receives_;
  std::unique_ptr<Pending> sending_;
};

}  // namespace

std::unique_ptr<StateExchange::Run> start_log_step_exchange(const ExchangeSetting& setting) {
  return std::make_unique<LogStepRun>(setting);
}

}  // namespace longhaul::dist
