#include "bench/scaling/shared_links.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace longhaul::bench {

namespace {

constexpr double kPacketBytes = 9000;
constexpr int64_t kMostPackets = 256;  // of a message: larger ones have larger packets

int64_t packets_of(double bytes) {
  return std::clamp(static_cast<int64_t>(std::ceil(bytes / kPacketBytes)), int64_t{1},
                    kMostPackets);
}

}  // namespace

void SharedLinks::send(const Sent& message) {
  push({.at = message.at, .what = What::kSend, .message = message});
}

void SharedLinks::push(Event event) {
  event.number = made_++;
  events_.push(event);
}

SharedLinks::Sender& SharedLinks::sender(int64_t rank) {
  const auto index = static_cast<size_t>(rank);
  if (index >= senders_.size()) senders_.resize(index + 1);
  return senders_[index];
}

double& SharedLinks::in_free(int64_t rank) {
  const auto index = static_cast<size_t>(rank);
  if (index >= in_free_.size()) in_free_.resize(index + 1, 0.0);
  return in_free_[index];
}

void SharedLinks::enqueue(const Sent& message, double now) {
  Sender& from = sender(message.from);
  auto lane = std::find_if(from.lanes.begin(), from.lanes.end(),
                           [&](const Lane& each) { return each.to == message.to; });
  if (lane == from.lanes.end()) lane = from.lanes.insert(lane, {.to = message.to, .queue = {}});
  lane->queue.push_back({.message = message, .packets = packets_of(message.bytes)});
  if (!from.is_leaving) leave_next(message.from, now);
}

void SharedLinks::leave_next(int64_t rank, double now) {
  Sender& from = sender(rank);
  from.is_leaving = false;
  for (size_t i = 0; i < from.lanes.size(); ++i) {
    from.turn = (from.turn + 1) % from.lanes.size();
    auto& queue = from.lanes[from.turn].queue;
    if (queue.empty()) continue;
    Queued& first = queue.front();
    const Sent message = first.message;
    const double bytes = message.bytes / static_cast<double>(packets_of(message.bytes));
    const double took = bytes / network_.rate(message.from, message.to);
    const bool is_last = --first.packets == 0;
    if (is_last) queue.pop_front();
    from.is_leaving = true;
    push({.at = now + took,
          .what = What::kLeft,
          .message = message,
          .took = took,
          .is_last = is_last});
    return;
  }
}

std::optional<SharedLinks::Arrival> SharedLinks::next_arrival() {
  while (!events_.empty()) {
    const Event event = events_.top();
    events_.pop();
    const Sent& message = event.message;
    switch (event.what) {
      case What::kSend:
        enqueue(message, event.at);
        break;
      case What::kLeft: {
        double& free = in_free(message.to);
        free = std::max(event.at - event.took, free) + event.took;
        if (event.is_last) {
          const double there = free + network_.link(message.from, message.to).latency_s;
          push({.at = there, .what = What::kThere, .message = message});
        }
        leave_next(message.from, event.at);
        break;
      }
      case What::kThere:
        return Arrival{
            .from = message.from, .to = message.to, .label = message.label, .at = event.at};
    }
  }
  return std::nullopt;
}

}  // namespace longhaul::bench
