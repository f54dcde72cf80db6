#include "trainer/rank_times.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace longhaul::trainer {

namespace {

constexpr int kTag = 9;

}  // namespace

RankTimes::RankTimes(dist::Communicator& world, std::function<double()> waited, double window_s)
    : world_(world), waited_(std::move(waited)), window_s_(window_s) {}

void RankTimes::begin_step() {
  if (!is_on()) return;
  step_start_ = Clock::now();
  waited_before_ = waited_();
}

bool RankTimes::is_due() const {
  return is_on() && world_.rank() == 0 && steps_ > 0 && seconds_since(window_start_) >= window_s_;
}

void RankTimes::end_step() {
  if (!is_on()) return;
  own_seconds_ += std::max(0.0, seconds_since(step_start_) - (waited_() - waited_before_));
  steps_ += 1;
}

std::vector<double> RankTimes::gather() {
  double mean = own_seconds_ / static_cast<double>(std::max<int64_t>(1, steps_));
  own_seconds_ = 0;
  steps_ = 0;
  window_start_ = Clock::now();
  const auto view = [](double& value) { return core::TensorView(&value, core::DType::kF64, {1}); };
  if (world_.rank() > 0) {
    world_.send(view(mean), 0, kTag);
    return {};
  }
  std::vector<double> seconds(static_cast<size_t>(world_.size()), mean);
  std::vector<std::unique_ptr<dist::Pending>> messages;
  for (int rank = 1; rank < world_.size(); ++rank) {
    messages.push_back(world_.start_receive(view(seconds[static_cast<size_t>(rank)]), rank, kTag));
  }
  for (const auto& message : messages) message->wait();
  return seconds;
}

}  // namespace longhaul::trainer
