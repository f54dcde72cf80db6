#include "model/checkpoint/state_spaces/state_spaces_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <tuple>

#include "kernels/core/error.h"
#include "model/checkpoint/config_reader.h"
#include "model/checkpoint/config_rules.h"
#include "model/checkpoint/json_reading.h"

namespace longhaul::model {

namespace {

using core::message;

constexpr size_t kLargestConfig = size_t{16} << 20;
constexpr int64_t kMlpMultiple = 128;  // mamba_ssm's GatedMLP rounds its width up to it
constexpr int64_t kMostExtent = int64_t{1} << 40;
constexpr const char* kInfinity = "Infinity";

constexpr std::array<KeyOfField, 21> kKeyOfField = {{
    {"vocabulary", "vocab_size"},
    {"width", "d_model"},
    {"layers", "n_layer"},
    {"heads", "ssm_cfg.headdim"},
    {"head_dim", "ssm_cfg.headdim"},
    {"state_dim", "ssm_cfg.d_state"},
    {"groups", "ssm_cfg.ngroups"},
    {"conv_width", "ssm_cfg.d_conv"},
    {"chunk", "ssm_cfg.chunk_size"},
    {"mlp_width", "d_intermediate"},
    {"tied", "tie_embeddings"},
    {"linear_bias", "ssm_cfg.bias"},
    {"conv_bias", "ssm_cfg.conv_bias"},
    {"dt_low", "ssm_cfg.dt_limit[0]"},
    {"dt_high", "ssm_cfg.dt_limit[1]"},
    {"dt_min", "ssm_cfg.dt_min"},
    {"dt_max", "ssm_cfg.dt_max"},
    {"dt_floor", "ssm_cfg.dt_init_floor"},
    {"a_low", "ssm_cfg.A_init_range[0]"},
    {"a_high", "ssm_cfg.A_init_range[1]"},
    {"dt_rank", "ssm_cfg.dt_rank"},
}};

// Arguments of both modules, of each alone, and such as change nothing that is stored or computed.
constexpr std::array<std::string_view, 9> kOfBoth = {"layer",         "d_state", "d_conv",
                                                     "expand",        "dt_min",  "dt_max",
                                                     "dt_init_floor", "bias",    "conv_bias"};
constexpr std::array<std::string_view, 1> kOfMamba1 = {"dt_rank"};
constexpr std::array<std::string_view, 9> kOfMamba2 = {
    "headdim",          "d_ssm",    "ngroups",   "A_init_range", "D_has_hdim", "rmsnorm",
    "norm_before_gate", "dt_limit", "chunk_size"};
constexpr std::array<std::string_view, 6> kIdleInMamba1 = {"dt_init",   "dt_scale", "use_fast_path",
                                                           "layer_idx", "device",   "dtype"};
constexpr std::array<std::string_view, 7> kIdleInMamba2 = {
    "conv_init", "use_mem_eff_path", "layer_idx", "process_group", "device",
    "dtype",     "sequence_parallel"};

bool is_one_of(std::string_view key, std::span<const std::string_view> list) {
  return std::find(list.begin(), list.end(), key) != list.end();
}

int64_t rounded_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

void require(ConfigReader& reader, const char* key, bool needed) {
  if (reader.boolean({key}, needed) == needed) return;
  reader.problem(key, needed ? "false is not supported" : "true is not supported");
}

/// Positive and small enough to calculate with; problems are told by the rules otherwise.
int64_t extent(ConfigReader& reader, const char* key, int64_t absent) {
  const int64_t value = reader.integer({key}, absent);
  if (value >= 0 && value <= kMostExtent) return value;
  reader.problem(key, message("expected 0 to ", kMostExtent, ", is ", value));
  return absent;
}

Architecture read_kind(const nlohmann::json& root, ConfigReader& reader, ConfigReader& ssm) {
  const std::string layer = ssm.string({"layer"}, "Mamba1");
  if (layer != "Mamba1" && layer != "Mamba2") {
    ssm.problem("layer", message("expected \"Mamba1\" or \"Mamba2\", is ", in_quotes(layer)));
  }
  const auto attention = root.find("attn_layer_idx");
  if (attention != root.end() && !attention->is_null() && !attention->empty()) {
    reader.problem("attn_layer_idx",
                   message("is ", shown(*attention), ": attention layers are not supported"));
  }
  return layer == "Mamba2" ? Architecture::kMamba2 : Architecture::kMamba1;
}

void check_arguments(const nlohmann::json& given, ConfigReader& ssm, bool is_mamba1) {
  for (const auto& [key, value] : given.items()) {
    const bool is_known = is_one_of(key, kOfBoth) ||
                          (is_mamba1 ? is_one_of(key, kOfMamba1) || is_one_of(key, kIdleInMamba1)
                                     : is_one_of(key, kOfMamba2) || is_one_of(key, kIdleInMamba2));
    if (!is_known) ssm.problem(key, message("is ", shown(value), ": not supported"));
  }
}

void read_mamba1(ConfigReader& ssm, double inner, ModelConfig& config) {
  config.head_dim = 1;
  if (inner >= 1 && inner < kWidest) {
    config.heads = static_cast<int64_t>(inner);
  } else {
    ssm.problem("expand", message("expand · d_model is ", inner, ", expected 1 to ", kWidest));
  }
  config.dt_rank = ssm.integer_or_auto({"dt_rank"});
}

void read_mamba2(ConfigReader& ssm, double inner, ModelConfig& config) {
  require(ssm, "D_has_hdim", false);
  require(ssm, "rmsnorm", true);
  require(ssm, "norm_before_gate", false);
  config.head_dim = extent(ssm, "headdim", 64);
  if (ssm.has("d_ssm") && static_cast<double>(extent(ssm, "d_ssm", 0)) != inner) {
    ssm.problem("d_ssm", message("is ", ssm.shown("d_ssm"), ": only the whole inner width (", inner,
                                 ") is supported"));
  }
  const bool is_divisible = inner >= 1 && inner < kWidest && config.head_dim > 0 &&
                            static_cast<int64_t>(inner) % config.head_dim == 0;
  if (!is_divisible) {
    ssm.problem("headdim", message("must divide the inner width, expand · d_model = ", inner,
                                   ", is ", config.head_dim));
  } else {
    config.heads = static_cast<int64_t>(inner) / config.head_dim;
  }
  config.groups = ssm.integer({"ngroups"}, 1);
  config.chunk = ssm.integer({"chunk_size"}, 256);
  std::tie(config.dt_low, config.dt_high) =
      ssm.range({"dt_limit"}, {0, std::numeric_limits<double>::infinity()});
  std::tie(config.a_low, config.a_high) = ssm.range({"A_init_range"}, {1, 16});
}

void read_ssm(const nlohmann::json& given, ConfigReader& ssm, ModelConfig& config) {
  check_arguments(given, ssm, config.is_mamba1());
  const double inner = std::trunc(ssm.number({"expand"}, 2) * static_cast<double>(config.width));
  if (config.is_mamba1()) {
    read_mamba1(ssm, inner, config);
  } else {
    read_mamba2(ssm, inner, config);
  }
  config.state_dim = ssm.integer({"d_state"}, config.is_mamba1() ? 16 : 128);
  config.conv_width = ssm.integer({"d_conv"}, 4);
  config.linear_bias = ssm.boolean({"bias"}, false);
  config.conv_bias = ssm.boolean({"conv_bias"}, true);
  config.dt_min = ssm.number({"dt_min"}, 1e-3);
  config.dt_max = ssm.number({"dt_max"}, 0.1);
  config.dt_floor = ssm.number({"dt_init_floor"}, 1e-4);
}

nlohmann::json parse_object(std::string_view text, const std::string& name) {
  if (text.size() > kLargestConfig) {
    throw core::InputError(
        message(name, ": ", text.size(), " bytes, the most is ", kLargestConfig));
  }
  nlohmann::json root = parse_python_json(text, name);
  if (!root.is_object()) {
    throw core::InputError(message(name, ": expected a JSON object, is ", shown(root)));
  }
  return root;
}

void throw_if_any(const ConfigReader& reader, const ConfigReader& ssm) {
  std::vector<std::string> problems = reader.problems();
  problems.insert(problems.end(), ssm.problems().begin(), ssm.problems().end());
  if (!problems.empty()) throw core::InputError(problems);
}

/// ssm_cfg, without what its module takes anyway.
nlohmann::ordered_json ssm_json(const ModelConfig& config) {
  nlohmann::ordered_json ssm = nlohmann::ordered_json::object();
  if (!config.is_mamba1()) ssm["layer"] = "Mamba2";  // absent: Mamba1, as in its released models
  const auto unless = [&ssm](const char* key, const auto& value, const auto& usual) {
    if (value != usual) ssm[key] = value;
  };
  unless("d_state", config.state_dim, config.is_mamba1() ? 16 : 128);
  unless("d_conv", config.conv_width, 4);
  unless("expand", config.inner() / config.width, 2);
  unless("bias", config.linear_bias, false);
  unless("conv_bias", config.conv_bias, true);
  unless("dt_min", config.dt_min, 1e-3);
  unless("dt_max", config.dt_max, 0.1);
  unless("dt_init_floor", config.dt_floor, 1e-4);
  if (config.is_mamba1()) {
    ModelConfig automatic = config;
    automatic.dt_rank = 0;
    unless("dt_rank", config.time_step_rank(), automatic.time_step_rank());
    return ssm;
  }
  unless("headdim", config.head_dim, 64);
  unless("ngroups", config.groups, 1);
  unless("chunk_size", config.chunk, 256);
  if (config.a_low != 1 || config.a_high != 16) {
    ssm["A_init_range"] = {config.a_low, config.a_high};
  }
  if (config.dt_low != 0 || !std::isinf(config.dt_high)) {
    const auto end = std::isinf(config.dt_high) ? nlohmann::ordered_json(kInfinity)
                                                : nlohmann::ordered_json(config.dt_high);
    ssm["dt_limit"] = {config.dt_low, end};
  }
  return ssm;
}

}  // namespace

bool is_state_spaces_config(std::string_view text, const std::string& name) {
  const nlohmann::json root = parse_object(text, name);
  return !root.contains("model_type") && (root.contains("d_model") || root.contains("ssm_cfg"));
}

ModelConfig parse_state_spaces_config(std::string_view text, const std::string& name) {
  const nlohmann::json root = parse_object(text, name);
  ConfigReader reader(root, name);
  const auto found = root.find("ssm_cfg");
  const bool is_given = found != root.end() && !found->is_null();
  if (is_given && !found->is_object()) {
    throw core::InputError(message(name, ": ssm_cfg: expected an object, is ", shown(*found)));
  }
  const nlohmann::json given = is_given ? *found : nlohmann::json::object();
  ConfigReader ssm(given, name + ": ssm_cfg");
  ModelConfig config;
  config.architecture = read_kind(root, reader, ssm);
  throw_if_any(reader, ssm);  // another architecture's keys would only be misunderstood
  require(reader, "rms_norm", true);
  config.norm_epsilon = 1e-5;
  config.width = extent(reader, "d_model", 2560);
  config.layers = reader.integer({"n_layer"}, 64);
  config.tied = reader.boolean({"tie_embeddings"}, true);
  config.residual_in_fp32 = reader.boolean({"residual_in_fp32"}, true);
  config.mlp_width = extent(reader, "d_intermediate", 0);
  if (!config.is_mamba1()) config.mlp_width = rounded_up(config.mlp_width, kMlpMultiple);
  const int64_t multiple = extent(reader, "pad_vocab_size_multiple", 8);
  if (multiple < 1) reader.problem("pad_vocab_size_multiple", "must be at least 1, is 0");
  config.vocabulary =
      rounded_up(extent(reader, "vocab_size", 50277), std::max<int64_t>(multiple, 1));
  read_ssm(given, ssm, config);
  throw_if_any(reader, ssm);
  check_model_rules(reader, config, kKeyOfField);
  throw_if_any(reader, ssm);
  config.settle();
  return config;
}

std::string state_spaces_config_json(const ModelConfig& config) {
  core::Problems problems;
  const auto refuse = [&](const auto&... parts) {
    problems.push_back(message("the state-spaces layout ", parts...));
  };
  if (config.inner() % config.width != 0) {
    refuse("needs an inner width that is a multiple of the width ", config.width, ", it is ",
           config.inner());
  }
  if (config.mlp_width % kMlpMultiple != 0) {
    refuse("rounds the MLP's width up to a multiple of ", kMlpMultiple, ", it is ",
           config.mlp_width);
  }
  if (config.norm_epsilon != 1e-5) {
    refuse("has a fixed epsilon of 1e-5 in its norms, the model has ", config.norm_epsilon);
  }
  if (!problems.empty()) throw core::InputError(problems);
  nlohmann::ordered_json root;
  root["d_model"] = config.width;
  root["d_intermediate"] = config.mlp_width;
  root["n_layer"] = config.layers;
  root["vocab_size"] = config.vocabulary;
  root["ssm_cfg"] = ssm_json(config);
  root["attn_layer_idx"] = nlohmann::ordered_json::array();
  root["attn_cfg"] = nlohmann::ordered_json::object();
  root["rms_norm"] = true;
  root["residual_in_fp32"] = config.residual_in_fp32;
  root["fused_add_norm"] = true;
  root["pad_vocab_size_multiple"] = config.vocabulary % 16 == 0  ? 16
                                    : config.vocabulary % 8 == 0 ? 8
                                                                 : 1;
  root["tie_embeddings"] = config.tied;
  // Python's json writes and reads a bare Infinity, which JSON has not.
  std::string text = root.dump(2) + "\n";
  const std::string quoted = message('"', kInfinity, '"');
  const size_t at = text.find(quoted);
  return at == std::string::npos ? text : text.replace(at, quoted.size(), kInfinity);
}

}  // namespace longhaul::model
