#include "bench/scaling/calibration.h"

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/scaling/prediction.h"
#include "bench/support/shapes.h"
#include "kernels/core/error.h"

namespace longhaul::bench {

namespace {

using core::InputError;
using core::message;

double as_double(int64_t value) { return static_cast<double>(value); }

void check_dtype(const nlohmann::json& row, const Device& device) {
  const auto dtype = row.at("dtype").get<std::string>();
  const std::string_view own = enum_names(device.dtype)[static_cast<size_t>(device.dtype)];
  if (dtype != own) throw InputError(message("measured in ", dtype, ", expected ", own));
}

void use_line(const nlohmann::json& row, Device& device) {
  if (row.at("bench") != "op") return;
  constexpr double kGiga = 1e9, kTera = 1e12;
  const OpRates rates{.flops_per_second = row.value("tflops", 0.0) * kTera,
                      .bytes_per_second = row.at("gbytes_per_second").get<double>() * kGiga};
  for (const double rate : {rates.flops_per_second, rates.bytes_per_second}) {
    if (!std::isfinite(rate) || rate < 0) throw InputError(message("a rate of ", rate));
  }
  check_dtype(row, device);
  device.measured[row.at("op").get<std::string>()] = rates;
}

double model_seconds(const nlohmann::json& step, const Device& device) {
  const auto shape = shapes().find(step.at("shape").get<std::string>());
  if (shape == shapes().end()) throw InputError("an unknown shape");
  model::ModelConfig config = shape->second.config;
  config.chunk = step.at("chunk").get<int64_t>();
  const Network none;
  const StepQuestion question{.model = config,
                              .network = none,
                              .device = device,
                              .mesh = {},
                              .batch = {.length = step.at("length").get<int64_t>(),
                                        .sequences = step.at("sequences").get<int64_t>(),
                                        .recompute = step.at("recompute").get<bool>()},
                              .shard_optimizer = false,
                              .source = trainer::SourceKind::kZero};
  return predict(question).seconds;
}

}  // namespace

void use_measured_ops(const std::string& path, Device& device) {
  std::ifstream file(path);
  if (!file) throw InputError(path + ": cannot be read");
  int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty()) continue;
    try {
      use_line(nlohmann::json::parse(line), device);
    } catch (const nlohmann::json::exception& error) {
      throw InputError(message(path, ":", number, ": is no line of bench_ops: ", error.what()));
    } catch (const InputError& error) {
      throw InputError(message(path, ":", number, ": ", error.what()));
    }
  }
  if (device.measured.empty()) throw InputError(path + ": holds no op of bench_ops");
}

void use_measured_step(const std::string& path, Device& device) {
  std::ifstream file(path);
  if (!file) throw InputError(path + ": cannot be read");
  try {
    const auto step = nlohmann::json::parse(file);
    if (step.at("ranks").get<int64_t>() != 1) throw InputError("more than one rank");
    check_dtype(step, device);
    const double tokens = as_double(step.at("length").get<int64_t>()) *
                          as_double(step.at("sequences").get<int64_t>());
    const double measured = tokens / step.at("tokens_per_second").get<double>();
    const double computed = model_seconds(step, device);
    if (!(measured > 0) || !std::isfinite(measured)) throw InputError("no time of a step");
    device.measured_over_model *= measured / computed;
  } catch (const nlohmann::json::exception& error) {
    throw InputError(message(path, ": is not of bench_train_step: ", error.what()));
  } catch (const InputError& error) {
    throw InputError(message(path, ": ", error.what()));
  }
}

}  // namespace longhaul::bench
