#include "model/checkpoint/config_fields.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "kernels/core/error.h"
#include "model/checkpoint/config_rules.h"

namespace longhaul::model {

namespace {

using core::message;

// Each field of ModelConfig and its key: rules speak of fields, users of keys.
constexpr std::array<KeyOfField, 23> kKeyOfField = {{
    {"vocabulary", "vocab_size"},     {"width", "hidden_size"},
    {"layers", "num_hidden_layers"},  {"heads", "num_heads"},
    {"head_dim", "head_dim"},         {"state_dim", "state_size"},
    {"groups", "n_groups"},           {"conv_width", "conv_kernel"},
    {"chunk", "chunk_size"},          {"mlp_width", "d_intermediate"},
    {"tied", "tie_word_embeddings"},  {"linear_bias", "use_bias"},
    {"conv_bias", "use_conv_bias"},   {"norm_epsilon", "layer_norm_epsilon"},
    {"dt_low", "time_step_limit[0]"}, {"dt_high", "time_step_limit[1]"},
    {"dt_min", "time_step_min"},      {"dt_max", "time_step_max"},
    {"dt_floor", "time_step_floor"},  {"a_low", "A_init_range[0]"},
    {"a_high", "A_init_range[1]"},    {"residual_in_fp32", "residual_in_fp32"},
    {"dt_rank", "time_step_rank"},
}};

/// transformers' defaults in which its Mamba and Mamba-2 differ.
struct Defaults {
  int64_t vocabulary, width, layers, state_dim;
  bool tied;
};
constexpr Defaults kOfMamba1 = {
    .vocabulary = 50280, .width = 768, .layers = 32, .state_dim = 16, .tied = true};
constexpr Defaults kOfMamba2 = {
    .vocabulary = 32768, .width = 4096, .layers = 64, .state_dim = 128, .tied = false};

/// Keys in whose defaults flash-linear-attention and transformers differ.
std::vector<const char*> ambiguous_keys(Architecture architecture) {
  std::vector<const char*> keys = {"vocab_size", "hidden_size", "num_hidden_layers"};
  if (architecture == Architecture::kMamba1) {
    keys.insert(keys.end(), {"tie_word_embeddings", "residual_in_fp32"});
  } else {
    keys.push_back("n_groups");
  }
  return keys;
}

/// hidden_size · expand, of which a fractional `expand` carries rounding.
double inner_width(ConfigReader& reader, const ModelConfig& config) {
  return reader.number({"expand"}, 2) * static_cast<double>(config.width);
}

/// flash-linear-attention derives the heads; transformers takes both and wants them to agree.
void read_heads(ConfigReader& reader, bool fla, ModelConfig& config) {
  const double inner = inner_width(reader, config);
  config.head_dim = reader.integer({"head_dim"}, 64);
  const double derived = inner / static_cast<double>(std::max<int64_t>(config.head_dim, 1));
  const bool derivable = derived >= 1 && derived < kWidest;
  config.heads = reader.integer({"num_heads"}, fla && derivable ? std::llround(derived) : 128);
  if (!reader.has("expand") && reader.has("num_heads") && reader.has("head_dim")) return;
  const double given = static_cast<double>(config.heads) * static_cast<double>(config.head_dim);
  if (!(std::fabs(given - inner) < 0.5)) {
    reader.problem("expand", message("hidden_size · expand is ", inner,
                                     ", but num_heads · head_dim is ", given));
  }
}

/// What transformers derives and may have written too.
void read_channels(ConfigReader& reader, ModelConfig& config) {
  config.head_dim = 1;
  constexpr double kRounding = 1e-3;
  const double exact = inner_width(reader, config), inner = std::trunc(exact + kRounding);
  if (inner >= 1 && inner < kWidest) {
    config.heads = static_cast<int64_t>(inner);
  } else if (config.width >= 1) {
    reader.problem("expand",
                   message("hidden_size · expand is ", exact, ", expected 1 to ", kWidest));
    return;
  }
  if (reader.integer({"intermediate_size"}, config.heads) != config.heads) {
    reader.problem("intermediate_size", message("is ", reader.shown("intermediate_size"),
                                                ", but hidden_size · expand is ", inner));
  }
}

void read_mamba1(ConfigReader& reader, ModelConfig& config) {
  read_channels(reader, config);
  config.dt_rank = reader.integer_or_auto({"time_step_rank"});
}

void read_mamba2(ConfigReader& reader, bool fla, ModelConfig& config) {
  read_heads(reader, fla, config);
  config.groups = reader.integer({"n_groups"}, 8);
  config.chunk = reader.integer({"chunk_size"}, 256);
  std::tie(config.dt_low, config.dt_high) =
      reader.range({"time_step_limit", "dt_limit"}, {0, std::numeric_limits<double>::infinity()});
}

}  // namespace

// Not by norm_before_gate, which released models of transformers have too.
bool spelled_as_fla(const ConfigReader& reader) {
  const auto keys = {"norm_eps",      "rmsnorm",  "dt_min",    "dt_max",
                     "dt_init_floor", "dt_limit", "D_has_hdim"};
  return std::any_of(keys.begin(), keys.end(), [&](const char* key) { return reader.has(key); });
}

ModelConfig read_model_fields(ConfigReader& reader, Architecture architecture, bool fla) {
  for (const char* key : ambiguous_keys(architecture)) {
    if (fla && !reader.has(key)) {
      reader.problem(key, "absent; transformers and flash-linear-attention differ in its default");
    }
  }
  ModelConfig config;
  config.architecture = architecture;
  const Defaults& absent = config.is_mamba1() ? kOfMamba1 : kOfMamba2;
  config.vocabulary = reader.integer({"vocab_size"}, absent.vocabulary);
  config.width = reader.integer({"hidden_size"}, absent.width);
  config.layers = reader.integer({"num_hidden_layers"}, absent.layers);
  config.state_dim = reader.integer({"state_size"}, absent.state_dim);
  config.mlp_width = reader.integer({"d_intermediate"}, 0);
  config.tied = reader.boolean({"tie_word_embeddings"}, absent.tied);
  config.conv_width = reader.integer({"conv_kernel"}, 4);
  config.linear_bias = reader.boolean({"use_bias"}, false);
  config.conv_bias = reader.boolean({"use_conv_bias"}, true);
  config.residual_in_fp32 = reader.boolean({"residual_in_fp32"}, true);
  config.norm_epsilon = reader.number({"layer_norm_epsilon", "norm_eps"}, 1e-5);
  config.dt_min = reader.number({"time_step_min", "dt_min"}, 1e-3);
  config.dt_max = reader.number({"time_step_max", "dt_max"}, 0.1);
  config.dt_floor = reader.number({"time_step_floor", "dt_init_floor"}, 1e-4);
  std::tie(config.a_low, config.a_high) = reader.range({"A_init_range"}, {1, 16});
  if (config.is_mamba1()) {
    read_mamba1(reader, config);
  } else {
    read_mamba2(reader, fla, config);
  }
  check_model_rules(reader, config, kKeyOfField);
  if (reader.problems().empty()) config.settle();
  return config;
}

}  // namespace longhaul::model
