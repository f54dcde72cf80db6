#include "bench/scaling/network.h"

#include <algorithm>

#include "kernels/core/error.h"
#include "launch/yaml_reader.h"

namespace longhaul::bench {

double Network::rate_out() const {
  const double per_rank = static_cast<double>(links_per_node) / static_cast<double>(ranks_per_node);
  return between.rate() * std::min(1.0, per_rank);
}

double Network::rate(int64_t a, int64_t b) const {
  return a / ranks_per_node == b / ranks_per_node ? inside.rate() : rate_out();
}

Network read_network(const std::string& path) {
  launch::YamlDocument document(launch::read_yaml_text(path, "a network"), path);
  Network network;
  launch::YamlReader reader(document);
  network.visit(reader);
  reader.finish();
  const auto need = [&](const Link& link, const std::string& section) {
    const std::string key = section + ".bytes_per_second";
    if (link.bytes_per_second > 0 || document.has_problem(key)) return;
    document.report(document.line_of(key), key, "is missing");
  };
  need(network.between, "between");
  if (network.ranks_per_node > 1) need(network.inside, "inside");
  const core::Problems problems = document.problems();
  if (!problems.empty()) throw core::InputError(problems);
  return network;
}

double leaves_at(const Network& network, const MessageArgs& args) {
  const double begin = args.sender_ready + network.message_s;
  if (!network.shakes_hands(args.bytes)) return begin;
  // Request, answer once the receiver looks, then the data.
  const double latency = network.link(args.from, args.to).latency_s;
  return std::max(begin + latency, args.receiver_ready) + latency;
}

Passage pass_message(const Network& network, const MessageArgs& args) {
  const double begin = std::max(leaves_at(network, args), args.link_free);
  const double sent = begin + args.bytes / network.rate(args.from, args.to);
  return {.sent = sent, .arrived = sent + network.link(args.from, args.to).latency_s};
}

}  // namespace longhaul::bench
