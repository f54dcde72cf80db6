// Messages that share links, packet by packet: a rank's messages to different receivers leave it in
// turns, those to one receiver one after the other; at the receiver whoever left first comes first.
// What bench/emulated_network.cpp does, and roughly what NICs do with several connections.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <queue>
#include <vector>

#include "bench/scaling/network.h"

namespace longhaul::bench {

class SharedLinks {
 public:
  /// Ranks are those of the network.
  explicit SharedLinks(const Network& network) : network_(network) {}

  /// `bytes` that the machine of rank `from` holds from `at` on; not before the last arrival told.
  /// `label` comes back with the arrival.
  struct Sent {
    int64_t from = 0, to = 0;
    double bytes = 0, at = 0;
    int64_t label = 0;
  };
  void send(const Sent& message);

  struct Arrival {
    int64_t from = 0, to = 0, label = 0;
    double at = 0;
  };
  /// The next message to be there entirely; none: nothing is under way.
  std::optional<Arrival> next_arrival();

 private:
  struct Queued {
    Sent message;
    int64_t packets = 0;  ///< still to leave
  };
  struct Lane {  ///< from one rank to another, in order
    int64_t to = 0;
    std::deque<Queued> queue;
  };
  struct Sender {
    std::vector<Lane> lanes;
    size_t turn = 0;
    bool is_leaving = false;
  };
  enum class What { kSend, kLeft, kThere };
  struct Event {
    double at = 0;
    int64_t number = 0;  ///< of events at one time the first made goes first
    What what = What::kSend;
    Sent message;
    double took = 0;  ///< on the link
    bool is_last = false;
    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : number > other.number;
    }
  };

  Sender& sender(int64_t rank);
  double& in_free(int64_t rank);
  void push(Event event);
  void enqueue(const Sent& message, double now);
  void leave_next(int64_t rank, double now);

  const Network& network_;
  std::vector<Sender> senders_;
  std::vector<double> in_free_;  // when the receiver's link is
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  int64_t made_ = 0;
};

}  // namespace longhaul::bench
