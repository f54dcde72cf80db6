#include "bench/scaling/pass_time.h"

#include <algorithm>

namespace longhaul::bench {

namespace {

using dist::Direction;

double latest(const std::vector<double>& times) {
  return *std::max_element(times.begin(), times.end());
}

class Timeline {
 public:
  explicit Timeline(const PassCase& pass)
      : pass_(pass), now_(static_cast<size_t>(pass.group.ranks), 0.0) {}

  PassTimes run() {
    for (int64_t layer = 0; layer < pass_.layers; ++layer) forward_layer();
    compute(pass_.head_s);
    times_.head_ready = latest(now_);
    times_.layer_ready.resize(static_cast<size_t>(pass_.layers));
    for (int64_t layer = pass_.layers; layer-- > 0;) {
      if (layer < pass_.run_again) run_again();
      backward_layer();
      times_.layer_ready[static_cast<size_t>(layer)] = latest(now_);
    }
    times_.end = latest(now_);
    return times_;
  }

 private:
  bool alone() const { return pass_.group.ranks == 1; }
  bool shares_states() const { return pass_.sharing == Sharing::kStates && !alone(); }

  void compute(double seconds) {
    times_.computing += seconds;
    for (double& now : now_) now += seconds;
  }

  void forward_layer() {
    compute(pass_.forward.to_halo);
    if (shares_states()) pass_halo(Direction::kForward);
    all_to_all(pass_.scatter);
    compute(pass_.forward.to_exchange);
    exchange(Direction::kForward, pass_.forward.meanwhile, shares_states());
    all_to_all(pass_.gather);
    compute(pass_.forward.rest);
  }

  /// A segment on its own, from the states that entered it.
  void run_again() {
    compute(pass_.forward.sum());
    all_to_all(pass_.scatter);
    all_to_all(pass_.gather);
  }

  void backward_layer() {
    all_to_all(pass_.gather);
    compute(pass_.backward.to_exchange);
    const bool exchanges = shares_states() && pass_.full_gradient;
    exchange(Direction::kBackward, pass_.backward.meanwhile, exchanges);
    compute(pass_.backward.to_halo);
    if (exchanges) pass_halo(Direction::kBackward);
    all_to_all(pass_.scatter);
    compute(pass_.backward.rest);
  }

  void exchange(Direction direction, double meanwhile, bool exchanges) {
    if (!exchanges) return compute(meanwhile);
    ExchangeStart start{.begin = now_, .wait = {}};
    compute(meanwhile);
    start.wait = now_;
    if (direction == Direction::kBackward) {
      std::reverse(start.begin.begin(), start.begin.end());
      std::reverse(start.wait.begin(), start.wait.end());
    }
    now_ = exchange_times({.network = pass_.network,
                           .group = pass_.group,
                           .direction = direction,
                           .algorithm = pass_.algorithm,
                           .size = pass_.exchange},
                          start);
    if (direction == Direction::kBackward) std::reverse(now_.begin(), now_.end());
  }

  /// Each rank's border rows go to its neighbour, which waits for them.
  void pass_halo(Direction direction) {
    const auto ranks = static_cast<int64_t>(now_.size());
    const std::vector<double> ready = now_;
    for (int64_t from = 0; from < ranks; ++from) {
      const int64_t to = direction == Direction::kForward ? from + 1 : from - 1;
      if (to < 0 || to >= ranks) continue;
      const auto sender = static_cast<size_t>(from), receiver = static_cast<size_t>(to);
      const Passage passage = pass_message(pass_.network, {.from = pass_.group.rank(from),
                                                           .to = pass_.group.rank(to),
                                                           .bytes = pass_.halo_bytes,
                                                           .sender_ready = ready[sender],
                                                           .receiver_ready = ready[receiver],
                                                           .link_free = 0});
      now_[sender] = std::max(now_[sender], passage.sent);
      now_[receiver] = std::max(now_[receiver], passage.arrived);
    }
  }

  void all_to_all(const CollectiveCost& cost) {
    if (pass_.sharing != Sharing::kHeads || alone()) return;
    std::fill(now_.begin(), now_.end(), latest(now_) + cost.seconds());
  }

  const PassCase& pass_;
  std::vector<double> now_;
  PassTimes times_;
};

}  // namespace

PassTimes time_of_pass(const PassCase& pass) { return Timeline(pass).run(); }

}  // namespace longhaul::bench
