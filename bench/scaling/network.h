// What connects the ranks: a two-level LogGP model (Alexandrov, Ionescu, Schauser, Scheiman,
// "LogGP", SPAA 1995). A message of n bytes costs its sender the overhead o, then n / bandwidth on
// the link, and arrives a latency L later.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/fields.h"

namespace longhaul::bench {

/// One direction of one link.
struct Link {
  double latency_s = 0;
  double bytes_per_second = 0;
  double share = 1;  ///< of bytes_per_second that messages get

  double rate() const { return bytes_per_second * share; }
  template <class V>
  void visit(V& v) {
    v.field("latency_s", latency_s, "seconds from the last byte's departure to its arrival",
            core::AtLeast{0});
    v.field("bytes_per_second", bytes_per_second, "of one direction", core::Above{0});
    v.field("share", share, "of bytes_per_second that messages get", core::Within{0.01, 1});
  }
};

/// direct: every rank exchanges with every other (dist/message_communicator.h). ring: NCCL's.
enum class Collectives { kDirect, kRing };
inline const std::vector<std::string_view>& enum_names(Collectives) {
  static const std::vector<std::string_view> names{"direct", "ring"};
  return names;
}

struct Network {
  std::string name, source;    ///< source: where the figures come from
  int64_t ranks_per_node = 1;  ///< consecutive ranks
  Link inside;                 ///< between two ranks of a node
  Link between;                ///< one link out of a node
  int64_t links_per_node = 1;  ///< shared by the node's ranks
  double message_s = 0;        ///< LogGP's o: a rank's own time for a message
  int64_t eager_bytes = 0;     ///< longer messages shake hands first; 0: none does
  bool overlaps = true;        ///< messages advance while their rank computes
  /// A send is over once the machine holds it (TCP), so that messages of a rank to several others
  /// are under way at once and share its link; else the next one follows when the link is free.
  bool shares_links = false;
  Collectives collectives = Collectives::kDirect;

  /// Of a rank's traffic that leaves its node while all its neighbours' does too.
  double rate_out() const;
  bool shakes_hands(double bytes) const {
    return eager_bytes > 0 && bytes > static_cast<double>(eager_bytes);
  }
  const Link& link(int64_t a, int64_t b) const {
    return a / ranks_per_node == b / ranks_per_node ? inside : between;
  }
  /// Bytes per second of a single message from rank a to rank b.
  double rate(int64_t a, int64_t b) const;

  template <class V>
  void visit(V& v) {
    v.field("name", name, "for tables");
    v.field("source", source, "where the figures come from");
    v.field("ranks_per_node", ranks_per_node, "consecutive ranks share a node", core::AtLeast{1});
    v.section("inside", inside);
    v.section("between", between);
    v.field("links_per_node", links_per_node, "links out of a node", core::AtLeast{1});
    v.field("message_s", message_s, "a rank's own time for a message", core::AtLeast{0});
    v.field("eager_bytes", eager_bytes, "longer messages shake hands first; 0: none does",
            core::AtLeast{0});
    v.field("overlaps", overlaps, "messages advance while their rank computes");
    v.field("shares_links", shares_links, "messages to several ranks share their sender's link");
    v.field("collectives", collectives, "direct | ring");
  }
};

/// Throws InputError: every problem with its line.
Network read_network(const std::string& path);

/// When a message has left its sender, and when it has arrived.
struct Passage {
  double sent = 0, arrived = 0;
};
/// A message of `bytes` from rank a, ready to send at `sender_ready`, to rank b, which waits from
/// `receiver_ready` on; the sender's link is taken until `link_free`.
struct MessageArgs {
  int64_t from = 0, to = 0;
  double bytes = 0;
  double sender_ready = 0, receiver_ready = 0, link_free = 0;
};
/// When it begins to leave where the link is free: at once, or once the receiver has been asked.
double leaves_at(const Network& network, const MessageArgs& args);
Passage pass_message(const Network& network, const MessageArgs& args);

}  // namespace longhaul::bench
