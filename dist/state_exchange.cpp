#include "dist/state_exchange.h"

#include <glog/logging.h>

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
                             ExchangeAlgorithm algorithm, int64_t typical_elements,
                             int64_t typical_log_decays)
    : context_(context), group_(group), algorithm_(algorithm) {
  if (algorithm_ == ExchangeAlgorithm::kAutomatic) {
    algorithm_ =
        cheapest_exchange({.ranks = group.size(),
                           .state_bytes = typical_elements * core::size_of(core::DType::kF32),
                           .log_decay_bytes = typical_log_decays * core::size_of(core::DType::kF32),
                           .free_messages = group.has_free_messages()});
  }
}

StateExchange::~StateExchange() = default;

std::unique_ptr<StateExchange::Run> StateExchange::start(const ExchangeArgs& args) {
  check_args(args);
  if (group_.size() == 1) return std::make_unique<SoloRun>(context_, args);
  constexpr int64_t kExchangeTags = 8192;  // more than ever are under way
  const int tag = kReservedTags + static_cast<int>(started_++ % kExchangeTags);
  return start_with(algorithm_, {context_, group_, args, tag});
}

}  // namespace longhaul::dist
