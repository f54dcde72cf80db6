#include "dist/state_exchange.h"

#include <glog/logging.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>

#include "dist/exchange_runs.h"
#include "dist/segment_map.h"

namespace longhaul::dist {

namespace {

void check_args(const ExchangeArgs& args) {
  CHECK(args.log_decay && args.state && args.incoming);
  CHECK(args.log_decay.is_contiguous() && args.state.is_contiguous() &&
        args.incoming.is_contiguous());
  CHECK(args.incoming.shape() == args.state.shape());
  CHECK(args.state.rank() >= 2 && args.log_decay.rank() == 2);
  CHECK(args.log_decay.extent(0) == args.state.extent(0) &&
        args.log_decay.extent(1) == args.state.extent(1))
      << args.log_decay.shape() << " and " << args.state.shape();
  CHECK(args.log_decay.dtype() == args.state.dtype() &&
        args.incoming.dtype() == args.state.dtype());
  if (args.boundary) {
    CHECK(args.boundary.is_contiguous() && args.boundary.shape() == args.state.shape());
    CHECK(args.boundary.dtype() == args.state.dtype());
  }
}

std::unique_ptr<StateExchange::Run> start_with(ExchangeAlgorithm algorithm,
                                               const ExchangeSetting& setting) {
  switch (algorithm) {
    case ExchangeAlgorithm::kChain:
      return start_chain_exchange(setting);
    case ExchangeAlgorithm::kLogStep:
      return start_log_step_exchange(setting);
    default:
      return start_all_gather_exchange(setting);
  }
}

/// Returns when the device is done with the exchange: what comes to the host is there.
void until_on_host(const ExchangeSetting& setting) {
  const core::TensorView flat = setting.args.incoming.reshape({setting.args.incoming.elements()});
  double element = 0;
  core::copy(setting.context, flat.slice(0, 0, 1), {&element, flat.dtype(), {1}});
}

/// Seconds of the best of a few exchanges with this algorithm, the slowest rank's counting.
double measure(ExchangeAlgorithm algorithm, const ExchangeSetting& setting) {
  constexpr int kRepeats = 5;
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i <= kRepeats; ++i) {
    setting.group.barrier();
    const auto begin = std::chrono::steady_clock::now();
    start_with(algorithm, setting)->finish();
    until_on_host(setting);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    const double slowest = setting.group.max(took.count());
    if (i > 0) best = std::min(best, slowest);  // the first warms caches and connections
  }
  return best;
}

ExchangeAlgorithm fastest(core::Context& context, Communicator& group, int64_t typical_elements) {
  if (group.size() == 1) return ExchangeAlgorithm::kAllGather;
  const int64_t elements = typical_elements > 0 ? typical_elements : int64_t{1} << 16;
  constexpr int64_t kGroups = 16;
  const auto state = core::Tensor::zeros(context, core::DType::kF32,
                                         {1, kGroups, (elements + kGroups - 1) / kGroups});
  const auto log_decay = core::Tensor::zeros(context, core::DType::kF32, {1, kGroups});
  const core::Tensor incoming(context, core::DType::kF32, state.shape());
  const ExchangeArgs args{Direction::kForward, log_decay, state, {}, incoming};
  constexpr std::array kCandidates{ExchangeAlgorithm::kAllGather, ExchangeAlgorithm::kChain,
                                   ExchangeAlgorithm::kLogStep};
  int32_t choice = 0;
  double best = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < kCandidates.size(); ++i) {
    const double seconds = measure(kCandidates[i], {context, group, args, kReservedTags});
    if (seconds < best) choice = static_cast<int32_t>(i);
    best = std::min(best, seconds);
  }
  group.broadcast({&choice, core::DType::kI32, {1}}, 0);
  return kCandidates[static_cast<size_t>(choice)];
}

/// One rank: what enters is the boundary.
class SoloRun final : public StateExchange::Run {
 public:
  SoloRun(core::Context& context, const ExchangeArgs& args) : context_(context), args_(args) {}
  void finish() override {
    args_.boundary ? core::copy(context_, args_.boundary, args_.incoming)
                   : core::set_zero(context_, args_.incoming);
  }

 private:
  core::Context& context_;
  ExchangeArgs args_;
};

}  // namespace

StateExchange::StateExchange(core::Context& context, Communicator& group,
                             ExchangeAlgorithm algorithm, int64_t typical_elements)
    : context_(context), group_(group), algorithm_(algorithm) {
  if (algorithm_ == ExchangeAlgorithm::kAutomatic)
    algorithm_ = fastest(context, group, typical_elements);
}

StateExchange::~StateExchange() = default;

std::unique_ptr<StateExchange::Run> StateExchange::start(const ExchangeArgs& args) {
  check_args(args);
  if (group_.size() == 1) return std::make_unique<SoloRun>(context_, args);
  constexpr int64_t kExchangeTags = 8192;  // more than ever are under way; the halo's follow
  const int tag = kReservedTags + static_cast<int>(started_++ % kExchangeTags);
  return start_with(algorithm_, {context_, group_, args, tag});
}

}  // namespace longhaul::dist
