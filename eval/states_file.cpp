#include <algorithm>
#include <cmath>
#include <optional>

#include "eval/formatted.h"
#include "eval/head_memory.h"
#include "eval/states.h"
#include "eval/states.pb.h"
#include "eval/stored_json.h"
#include "kernels/core/error.h"

namespace longhaul::eval {

namespace {

constexpr int kFormatVersion = 1;
constexpr const char* kTask = "states";

void store(const MomentsByPosition& from, proto::Moments& to) {
  to.mutable_mean()->Add(from.mean.begin(), from.mean.end());
  to.mutable_deviation()->Add(from.deviation.begin(), from.deviation.end());
  to.mutable_norm()->Add(from.norm.begin(), from.norm.end());
}

MomentsByPosition moments_of(const proto::Moments& from) {
  return {.mean = {from.mean().begin(), from.mean().end()},
          .deviation = {from.deviation().begin(), from.deviation().end()},
          .norm = {from.norm().begin(), from.norm().end()}};
}

void store(const ElementMemory& from, proto::ElementMemory& to) {
  to.set_shortest(from.shortest);
  to.set_median(from.median);
  to.set_longest(from.longest);
  if (!std::isnan(from.beyond)) to.set_beyond(from.beyond);
}

ElementMemory elements_of(const proto::ElementMemory& from) {
  return {.shortest = from.shortest(),
          .median = from.median(),
          .longest = from.longest(),
          .beyond = from.has_beyond() ? from.beyond() : std::nan("")};
}

/// What is wrong with a file that parsed, or "".
std::string flaw(const proto::StateStatistics& states) {
  if (states.task() != kTask) return "task is '" + states.task() + "', expected '" + kTask + "'";
  if (states.positions().empty() || states.heads().empty()) return "has no positions or no heads";
  int64_t before = 0;
  for (int64_t position : states.positions()) {
    if (position <= before || position > states.length()) {
      return core::message("position ", position, " does not follow ", before,
                           " within the length ", states.length());
    }
    before = position;
  }
  const int positions = states.positions_size();
  const auto complete = [&](const proto::Moments& moments) {
    return moments.mean_size() == positions && moments.deviation_size() == positions &&
           moments.norm_size() == positions;
  };
  bool whole = complete(states.pooled()) &&
               (states.deviation_error().empty() || states.deviation_error_size() == positions);
  for (const auto& layer : states.layers()) whole = whole && complete(layer.moments());
  for (const auto& head : states.heads()) whole = whole && complete(head.moments());
  return whole ? "" : core::message("does not hold ", positions, " numbers for each position");
}

std::string memories(const StateStatistics& states) {
  const std::string text = memory_text(states) + "\n";
  const std::optional<double> beyond = memory_summary(states).beyond;
  if (!beyond || has_elements(states)) return text;
  return text + formatted("%.0f heads remember longer than the training length, %lld\n", *beyond,
                          static_cast<long long>(states.training_length));
}

std::string outliers(const StateStatistics& states) {
  constexpr size_t kShown = 10;
  const std::vector<OutlierHead> found = outlier_heads(states);
  std::string out =
      core::message("outliers by deviation at the end: ", found.size(), " ", head_word(states), "s",
                    found.size() > kShown ? ", the furthest:" : "", "\n");
  for (size_t i = 0; i < std::min(kShown, found.size()); ++i) {
    const HeadStates& head = states.heads[found[i].index];
    out += "  " + head_name(head) +
           formatted(": deviation %.4g, memory %.4g tokens\n", head.moments.deviation.back(),
                     head.memory());
  }
  return out;
}

}  // namespace

void write_states(const std::filesystem::path& file, const StateStatistics& states) {
  proto::StateStatistics out;
  out.set_format_version(kFormatVersion);
  out.set_task(kTask);
  out.set_read(states.read);
  store_conditions(states, out);
  out.mutable_positions()->Add(states.positions.begin(), states.positions.end());
  store(states.pooled, *out.mutable_pooled());
  if (states.sequences != 1) {
    out.mutable_deviation_error()->Add(states.deviation_error.begin(),
                                       states.deviation_error.end());
  }
  for (const LayerStates& layer : states.layers) {
    proto::LayerStates& to = *out.add_layers();
    to.set_layer(layer.layer);
    store(layer.moments, *to.mutable_moments());
  }
  for (const HeadStates& head : states.heads) {
    proto::HeadStates& to = *out.add_heads();
    to.set_layer(head.layer);
    to.set_head(head.head);
    to.set_log_decay(head.log_decay);
    if (!std::isnan(head.log_decay_error)) to.set_log_decay_error(head.log_decay_error);
    store(head.moments, *to.mutable_moments());
    if (head.elements) store(*head.elements, *to.mutable_elements());
  }
  write_json(file, out);
}

StateStatistics read_states(const std::filesystem::path& file) {
  const auto from = read_evaluation<proto::StateStatistics>(file, kFormatVersion, flaw);
  StateStatistics states;
  states.read = from.read();
  take_conditions(from, states);
  states.positions = {from.positions().begin(), from.positions().end()};
  states.pooled = moments_of(from.pooled());
  for (int i = 0; i < from.positions_size(); ++i) {
    const bool has = i < from.deviation_error_size();
    states.deviation_error.push_back(
        error_of(has, has ? from.deviation_error(i) : 0, from.sequences()));
  }
  for (const proto::LayerStates& layer : from.layers()) {
    states.layers.push_back({.layer = layer.layer(), .moments = moments_of(layer.moments())});
  }
  for (const proto::HeadStates& head : from.heads()) {
    states.heads.push_back({.layer = head.layer(),
                            .head = head.head(),
                            .log_decay = head.log_decay(),
                            .log_decay_error = error_of(head.has_log_decay_error(),
                                                        head.log_decay_error(), from.sequences()),
                            .moments = moments_of(head.moments())});
    if (head.has_elements()) states.heads.back().elements = elements_of(head.elements());
  }
  return states;
}

std::string format_table(const StateStatistics& states) {
  std::string out =
      formatted("states, %lld sequences of %lld tokens (", static_cast<long long>(states.sequences),
                static_cast<long long>(states.length)) +
      states.read + ")\n" + shortage_line(states.sequences, states.sequences_asked);
  out += "  position       mean  deviation  std.err       norm\n";
  for (size_t i = 0; i < states.positions.size(); ++i) {
    out += formatted("%10lld %10.4g %10.4g ", static_cast<long long>(states.positions[i]),
                     states.pooled.mean[i], states.pooled.deviation[i]) +
           or_dash("%8.2g", states.deviation_error[i]) +
           formatted(" %10.4g\n", states.pooled.norm[i]);
  }
  return out + memories(states) + outliers(states);
}

}  // namespace longhaul::eval
