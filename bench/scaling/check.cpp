#include "bench/scaling/check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/scaling/exchange_time.h"
#include "bench/scaling/run_question.h"
#include "bench/scaling/tables.h"
#include "kernels/core/error.h"

namespace longhaul::bench {

namespace {

using core::InputError;
using core::message;
using nlohmann::json;

constexpr int64_t kMostRanks = 4096;

double positive(const json& row, const char* key) {
  const double value = row.at(key).get<double>();
  if (!(value > 0) || !std::isfinite(value)) throw InputError(message(key, " is ", value));
  return value;
}

dist::ExchangeAlgorithm algorithm_of(const std::string& what) {
  const auto& names = enum_names(dist::ExchangeAlgorithm{});
  const auto found = std::find(names.begin() + 1, names.end(), what);
  if (found == names.end()) throw InputError(message("there is no exchange '", what, "'"));
  return static_cast<dist::ExchangeAlgorithm>(found - names.begin());
}

double predicted_exchange(const Network& network, const json& row, int64_t ranks) {
  const Group group{.ranks = ranks};
  const double bytes = positive(row, "bytes");
  const auto what = row.at("what").get<std::string>();
  if (what == "all_reduce") return all_reduce_cost(network, group, bytes).seconds();
  if (what == "reduce_scatter") return reduce_scatter_cost(network, group, bytes).seconds();
  if (what == "gather") return all_gather_cost(network, group, bytes).seconds();
  const std::vector<double> zeros(static_cast<size_t>(ranks), 0.0);
  constexpr double kLogDecays = 16;  // bytes, of bench_exchange
  const auto done =
      exchange_times({.network = network,
                      .group = group,
                      .algorithm = algorithm_of(what),
                      .size = {.state_bytes = bytes, .log_decay_bytes = kLogDecays, .apply_s = 0}},
                     {.begin = zeros, .wait = zeros});
  return *std::max_element(done.begin(), done.end());
}

double predicted_step(const CheckSetting& setting, const Network& network, const json& row,
                      int64_t ranks) {
  Device device = setting.device;
  const RunQuestion alone(setting.run, {}, 1);
  device.measured_over_model = positive(row, "alone_s") / alone.predict(network, device).seconds;
  const auto overrides = row.at("overrides").get<std::vector<std::string>>();
  return RunQuestion(setting.run, overrides, ranks).predict(network, device).seconds;
}

std::string name_of(const json& row) {
  if (row.at("bench") != "step") {
    return message(row.at("what").get<std::string>(), ", ",
                   tokens_text(row.at("bytes").get<int64_t>()), "B");
  }
  std::string text = "training step";
  for (const auto& each : row.at("overrides")) text += ", " + each.get<std::string>();
  return text;
}

CheckedCase checked(const CheckSetting& setting, const json& row) {
  Network network = setting.network;
  network.between.latency_s = positive(row, "latency_s");
  network.between.bytes_per_second = positive(row, "bytes_per_second");
  const auto ranks = row.at("ranks").get<int64_t>();
  if (ranks < 1 || ranks > kMostRanks) throw InputError(message(ranks, " ranks"));
  std::array<char, 64> wire;
  std::snprintf(wire.data(), wire.size(), "%g ms, %g MB/s", 1e3 * network.between.latency_s,
                network.between.bytes_per_second / 1e6);
  const bool is_step = row.at("bench") == "step";
  return {.what = name_of(row),
          .network = wire.data(),
          .ranks = ranks,
          .predicted_s = is_step ? predicted_step(setting, network, row, ranks)
                                 : predicted_exchange(network, row, ranks),
          .measured_s = positive(row, "seconds")};
}

}  // namespace

std::vector<CheckedCase> checked_cases(const CheckSetting& setting) {
  std::ifstream file(setting.measured);
  if (!file) throw InputError(setting.measured + ": cannot be read");
  std::vector<CheckedCase> cases;
  int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    try {
      cases.push_back(checked(setting, json::parse(line)));
    } catch (const json::exception& error) {
      throw InputError(
          message(setting.measured, ":", number, ": is no result of the check: ", error.what()));
    } catch (const InputError& error) {
      throw InputError(message(setting.measured, ":", number, ": ", error.what()));
    }
  }
  if (cases.empty()) throw InputError(setting.measured + ": holds no case");
  return cases;
}

std::string check_table(const std::vector<CheckedCase>& cases) {
  std::vector<std::vector<std::string>> rows{
      {"case", "ranks", "network", "predicted", "measured", "error"}};
  for (const CheckedCase& each : cases) {
    std::array<char, 16> error;
    std::snprintf(error.data(), error.size(), "%+.0f %%", 100 * each.error());
    rows.push_back({each.what, message(each.ranks), each.network, seconds_text(each.predicted_s),
                    seconds_text(each.measured_s), error.data()});
  }
  return markdown(rows);
}

}  // namespace longhaul::bench
