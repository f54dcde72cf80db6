#include "bench/scaling/tables.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>

#include "bench/scaling/search.h"
#include "bench/support/shapes.h"
#include "kernels/core/error.h"

namespace longhaul::bench {

namespace {

using core::message;
using Rows = std::vector<std::vector<std::string>>;

std::string number(const char* format, double value) {
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string percent(double share) { return number("%.0f %%", 100 * share); }
std::string gigabytes(double bytes) { return number("%.1f GB", bytes / 1e9); }
std::string mesh_text(dist::MeshShape mesh) { return message(mesh.data, " × ", mesh.sequence); }

std::string algorithm_text(const Choice& choice) {
  if (choice.mesh.sequence == 1) return "none";
  return std::string(enum_names(choice.algorithm)[static_cast<size_t>(choice.algorithm)]);
}

/// Micro-steps and recomputation, in short.
std::string how_text(const Choice& choice) {
  std::string text = choice.accumulation > 1 ? message(choice.accumulation, " micro-steps") : "";
  if (choice.recompute) text += text.empty() ? "recompute" : ", recompute";
  return text.empty() ? "–" : text;
}

SearchQuestion search_of(const TableSetting& setting, const model::ModelConfig& model,
                         int64_t ranks, int64_t length) {
  return {.model = model,
          .network = setting.network,
          .device = setting.device,
          .ranks = ranks,
          .length = length,
          .sequences = setting.tokens / length};
}

std::optional<Choice> best_of(SearchQuestion question, Sharing sharing) {
  question.sharing = sharing;
  const auto all = choices(question);
  if (all.empty()) return std::nullopt;
  return all.front();
}

/// The fastest of one sequence over so many ranks.
std::optional<Choice> best_of_one_sequence(const TableSetting& setting,
                                           const model::ModelConfig& model, int64_t ranks,
                                           int64_t length, Sharing sharing) {
  SearchQuestion question = search_of(setting, model, ranks, length);
  question.sequences = 1;
  return best_of(question, sharing);
}

/// An exchange of one sequence's states of a layer that all ranks start at once.
double exchange_alone(const TableSetting& setting, const model::ModelConfig& config, int64_t ranks,
                      dist::ExchangeAlgorithm algorithm) {
  const double state = 4.0 * static_cast<double>(config.inner() * config.state_dim);
  const OpWork apply{"apply", OpKind::kMemory, 0, 3 * state};
  const std::vector<double> zeros(static_cast<size_t>(ranks), 0.0);
  const auto done =
      exchange_times({.network = setting.network,
                      .group = {.ranks = ranks},
                      .algorithm = algorithm,
                      .size = {.state_bytes = state,
                               .log_decay_bytes = 4.0 * static_cast<double>(config.log_decays()),
                               .apply_s = seconds_of(setting.device, apply)}},
                     {.begin = zeros, .wait = zeros});
  return *std::max_element(done.begin(), done.end());
}

}  // namespace

std::string tokens_text(int64_t tokens) {
  if (tokens % (1 << 20) == 0) return message(tokens >> 20, "M");
  if (tokens % 1024 == 0) return message(tokens >> 10, "k");
  return message(tokens);
}

std::string seconds_text(double seconds) {
  if (seconds >= 1) return number("%.3g s", seconds);
  if (seconds >= 1e-3) return number("%.3g ms", seconds * 1e3);
  return number("%.3g µs", seconds * 1e6);
}

std::string markdown(const Rows& rows) {
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i) {
    text += "|";
    for (const std::string& cell : rows[i]) text += " " + cell + " |";
    text += "\n";
    if (i > 0) continue;
    text += "|";
    for (size_t column = 0; column < rows[0].size(); ++column) text += "---|";
    text += "\n";
  }
  return text;
}

std::string assumptions_table(const TableSetting& setting) {
  const Network& net = setting.network;
  const Device& device = setting.device;
  const auto link = [](const Link& l) {
    return message(number("%.0f", l.bytes_per_second / 1e9), " GB/s × ", percent(l.share), ", ",
                   seconds_text(l.latency_s));
  };
  return markdown(
      {{"assumption", "figure"},
       {"device", device.name},
       {"its figures", device.source},
       {"matrix products",
        message(number("%.0f", device.flops_per_second / 1e12), " TFLOP/s × ",
                percent(device.linear_share), ", SSD × ", percent(device.scan_share))},
       {"memory",
        message(number("%.2f", device.bytes_per_second / 1e12), " TB/s × ",
                percent(device.bytes_share), ", ", gigabytes(device.memory_bytes), " for a run")},
       {"least time of a kernel", seconds_text(device.launch_s)},
       {"op times measured", device.measured.empty() ? "none: ceilings and shares"
                                                     : message(device.measured.size(), " ops")},
       {"network", net.name},
       {"its figures", net.source},
       {"within a node", link(net.inside)},
       {"between nodes, each link", link(net.between)},
       {"a message", seconds_text(net.message_s) + " of its rank's own time"}});
}

std::string steps_table(const TableSetting& setting, const std::string& model) {
  const auto& config = shapes().at(model).config;
  Rows rows{{"tokens a sequence", "GPUs", "data × sequence", "exchange", "memory saved by", "step",
             "tokens/s", "waits for network", "memory", "sent a GPU", "head parallelism: mesh",
             "step"}};
  for (const int64_t length : setting.lengths) {
    for (const int64_t ranks : setting.ranks) {
      const SearchQuestion question = search_of(setting, config, ranks, length);
      const auto states = best_of(question, Sharing::kStates);
      const auto heads = best_of(question, Sharing::kHeads);
      std::vector<std::string> row{tokens_text(length), message(ranks)};
      if (states) {
        const Prediction& step = states->step;
        const double sent =
            step.exchange_bytes + step.source_bytes + step.gradient_bytes + step.parameter_bytes;
        for (auto& cell :
             {mesh_text(states->mesh), algorithm_text(*states), how_text(*states),
              seconds_text(step.seconds),
              number("%.3g M", static_cast<double>(setting.tokens) / step.seconds / 1e6),
              percent(step.network_share()), gigabytes(step.memory_bytes), gigabytes(sent)}) {
          row.push_back(cell);
        }
      } else {
        row.insert(row.end(), {"does not fit", "–", "–", "–", "–", "–", "–", "–"});
      }
      if (heads) {
        row.insert(row.end(), {mesh_text(heads->mesh), seconds_text(heads->step.seconds)});
      } else {
        row.insert(row.end(), {"none fits", "–"});
      }
      rows.push_back(std::move(row));
    }
  }
  return markdown(rows);
}

std::string doubling_table(const TableSetting& setting, const std::string& model) {
  const auto& config = shapes().at(model).config;
  const int64_t most = *std::max_element(setting.ranks.begin(), setting.ranks.end());
  constexpr double kPays = 1.5;  // of the 2 that doubling the ranks could bring
  Rows rows{{"tokens of the sequence"}};
  for (int64_t ranks = 8; ranks <= most; ranks *= 2) rows[0].push_back(message(ranks));
  rows[0].insert(rows[0].end(), {"pays up to", "head parallelism pays up to"});
  for (const int64_t length : setting.lengths) {
    std::vector<std::string> row{tokens_text(length)};
    std::array<int64_t, 2> pays{0, 0};
    std::array<double, 2> before{0, 0};
    std::array<bool, 2> stopped{false, false};
    for (int64_t ranks = 8; ranks <= most; ranks *= 2) {
      for (const Sharing sharing : {Sharing::kStates, Sharing::kHeads}) {
        const auto which = static_cast<size_t>(sharing);
        const auto best = best_of_one_sequence(setting, config, ranks, length, sharing);
        const double gain = best && before[which] > 0 ? before[which] / best->step.seconds : 0;
        if (best && !stopped[which] && (before[which] == 0 || gain >= kPays)) pays[which] = ranks;
        stopped[which] = stopped[which] || (before[which] > 0 && gain < kPays);
        if (best) before[which] = best->step.seconds;
        if (sharing != Sharing::kStates) continue;
        if (!best) {
          row.push_back("–");
        } else {
          row.push_back(seconds_text(best->step.seconds) + " " + algorithm_text(*best) +
                        (gain > 0 ? number(", × %.2f", gain) : ""));
        }
      }
    }
    for (const int64_t ranks : pays) row.push_back(ranks > 0 ? message(ranks) : "fits nowhere");
    rows.push_back(std::move(row));
  }
  return markdown(rows);
}

std::string exchange_table(const TableSetting& setting, const std::string& model) {
  const auto& config = shapes().at(model).config;
  constexpr int64_t kTokens = 4096;  // of a rank
  using dist::ExchangeAlgorithm;
  constexpr std::array kAlgorithms{ExchangeAlgorithm::kAllGather, ExchangeAlgorithm::kChain,
                                   ExchangeAlgorithm::kLogStep};
  Rows rows{{"ranks", "all_gather alone", "chain alone", "log_step alone", "all_gather in a step",
             "chain in a step", "log_step in a step", "all-to-alls in a step"}};
  const int64_t most = *std::max_element(setting.ranks.begin(), setting.ranks.end());
  for (int64_t ranks = 2; ranks <= most; ranks *= 2) {
    std::vector<std::string> row{message(ranks)};
    for (const auto algorithm : kAlgorithms) {
      row.push_back(seconds_text(exchange_alone(setting, config, ranks, algorithm)));
    }
    StepQuestion step{.model = config,
                      .network = setting.network,
                      .device = setting.device,
                      .mesh = {.data = 1, .sequence = static_cast<int>(ranks)},
                      .batch = {.length = ranks * kTokens, .sequences = 1}};
    const auto waits = [&] {
      return seconds_text(pass_waiting(step) / static_cast<double>(2 * config.layers));
    };
    for (const auto algorithm : kAlgorithms) {
      step.algorithm = algorithm;
      row.push_back(waits());
    }
    step.sharing = Sharing::kHeads;
    row.push_back(misfit(step).empty() ? waits() : "–");
    rows.push_back(std::move(row));
  }
  return markdown(rows);
}

}  // namespace longhaul::bench
