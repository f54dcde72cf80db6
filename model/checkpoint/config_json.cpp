#include "model/checkpoint/config_json.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "kernels/core/error.h"
#include "model/checkpoint/config_reader.h"
#include "model/checkpoint/config_rules.h"
#include "model/checkpoint/json_reading.h"

namespace longhaul::model {

namespace {

using core::message;

constexpr size_t kLargestConfig = size_t{16} << 20;
constexpr const char* kModelType = "mamba2";
constexpr const char* kModelTypeWithMlp = "mamba2_mlp";

// Each field of ModelConfig and its key: rules speak of fields, users of keys.
constexpr std::array<KeyOfField, 22> kKeyOfField = {{
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
}};

void check_architecture(ConfigReader& reader) {
  const std::string type = reader.string({"model_type"}, "");
  if (type != kModelType && type != kModelTypeWithMlp) {
    reader.problem("model_type",
                   message("expected \"mamba2\", is ", reader.shown("model_type"),
                           reader.has("d_model") || reader.has("ssm_cfg")
                               ? " (d_model and ssm_cfg belong to the state-spaces layout)"
                               : ""));
  }
  const auto architectures = reader.strings({"architectures"});
  const auto is_ours = [](const std::string& name) {
    return name == "Mamba2ForCausalLM" || name == "Mamba2MlpForCausalLM";
  };
  if (!architectures.empty() && std::none_of(architectures.begin(), architectures.end(), is_ours)) {
    reader.problem("architectures",
                   message("expected \"Mamba2ForCausalLM\", is ", reader.shown("architectures")));
  }
}

/// Not by norm_before_gate, which released models of transformers have too.
bool spelled_as_fla(const ConfigReader& reader) {
  const auto keys = {"norm_eps",      "rmsnorm",  "dt_min",    "dt_max",
                     "dt_init_floor", "dt_limit", "D_has_hdim"};
  return std::any_of(keys.begin(), keys.end(), [&](const char* key) { return reader.has(key); });
}

/// A line for each key that says something else than what the model computes.
std::vector<std::string> ignored_keys(ConfigReader& reader, bool fla, const std::string& name) {
  std::vector<std::string> lines;
  if (!fla && reader.boolean({"norm_before_gate"}, false)) {
    lines.push_back(message(name,
                            ": norm_before_gate: true is not followed, as in transformers, "
                            "which gates before the norm whatever it says"));
  }
  return lines;
}

/// Settings that other programs have and this model has not.
void check_unsupported(ConfigReader& reader, bool fla) {
  const std::string activation = reader.string({"hidden_act"}, "silu");
  if (activation != "silu" && activation != "swish") {
    reader.problem("hidden_act", message("expected \"silu\", is ", in_quotes(activation)));
  }
  const auto require = [&](ConfigReader::Keys keys, bool needed) {
    if (reader.boolean(keys, needed) == needed) return;
    reader.problem(*keys.begin(), needed ? "false is not supported" : "true is not supported");
  };
  require({"rms_norm", "rmsnorm"}, true);
  // transformers reads nothing from it: see ignored_keys.
  if (fla) require({"norm_before_gate"}, false);
  require({"D_has_hdim"}, false);
  for (const char* key : {"attn", "attn_cfg", "attn_layer_idx", "quantization_config"}) {
    const std::string value = reader.shown(key);
    if (reader.has(key) && value != "{}" && value != "[]") {
      reader.problem(key, message("is ", value, ", which is not supported"));
    }
  }
}

/// flash-linear-attention derives the heads; transformers takes both and wants them to agree.
void read_heads(ConfigReader& reader, bool fla, ModelConfig& config) {
  const double inner = reader.number({"expand"}, 2) * static_cast<double>(config.width);
  config.head_dim = reader.integer({"head_dim"}, 64);
  const double derived = inner / static_cast<double>(std::max<int64_t>(config.head_dim, 1));
  const bool derivable = derived >= 1 && derived < 1e12;
  config.heads = reader.integer({"num_heads"}, fla && derivable ? std::llround(derived) : 128);
  if (!reader.has("expand") && reader.has("num_heads") && reader.has("head_dim")) return;
  const double given = static_cast<double>(config.heads) * static_cast<double>(config.head_dim);
  // A fractional `expand` carries rounding.
  if (!(std::fabs(given - inner) < 0.5)) {
    reader.problem("expand", message("hidden_size · expand is ", inner,
                                     ", but num_heads · head_dim is ", given));
  }
}

ModelConfig read_fields(ConfigReader& reader, bool fla) {
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "n_groups"}) {
    if (fla && !reader.has(key)) {
      reader.problem(key, "absent; transformers and flash-linear-attention differ in its default");
    }
  }
  ModelConfig config;
  config.vocabulary = reader.integer({"vocab_size"}, 32768);
  config.width = reader.integer({"hidden_size"}, 4096);
  config.layers = reader.integer({"num_hidden_layers"}, 64);
  read_heads(reader, fla, config);
  config.state_dim = reader.integer({"state_size"}, 128);
  config.groups = reader.integer({"n_groups"}, 8);
  config.conv_width = reader.integer({"conv_kernel"}, 4);
  config.chunk = reader.integer({"chunk_size"}, 256);
  config.mlp_width = reader.integer({"d_intermediate"}, 0);
  config.tied = reader.boolean({"tie_word_embeddings"}, false);
  config.linear_bias = reader.boolean({"use_bias"}, false);
  config.conv_bias = reader.boolean({"use_conv_bias"}, true);
  config.residual_in_fp32 = reader.boolean({"residual_in_fp32"}, true);
  config.norm_epsilon = reader.number({"layer_norm_epsilon", "norm_eps"}, 1e-5);
  const double infinity = std::numeric_limits<double>::infinity();
  std::tie(config.dt_low, config.dt_high) =
      reader.range({"time_step_limit", "dt_limit"}, {0, infinity});
  config.dt_min = reader.number({"time_step_min", "dt_min"}, 1e-3);
  config.dt_max = reader.number({"time_step_max", "dt_max"}, 0.1);
  config.dt_floor = reader.number({"time_step_floor", "dt_init_floor"}, 1e-4);
  std::tie(config.a_low, config.a_high) = reader.range({"A_init_range"}, {1, 16});
  return config;
}

/// Of what a config.json leaves out, by the library that it belongs to.
TokenIds default_token_ids(const ConfigReader& reader) {
  // state-spaces: the GPT-NeoX tokenizer's, which all released models of it use.
  if (!reader.has("model_type")) return {.pad = "0", .bos = "0", .eos = "0"};
  if (spelled_as_fla(reader)) return {.pad = "0", .bos = "1", .eos = "2"};
  return {.pad = "1", .bos = "0", .eos = "2"};
}

}  // namespace

ModelConfig parse_model_config(std::string_view text, const std::string& name,
                               std::vector<std::string>* notes) {
  if (text.size() > kLargestConfig) {
    throw core::InputError(
        message(name, ": ", text.size(), " bytes, the most is ", kLargestConfig));
  }
  const nlohmann::json root = parse_python_json(text, name);
  if (!root.is_object()) {
    throw core::InputError(message(name, ": expected a JSON object, is ", shown(root)));
  }
  ConfigReader reader(root, name);
  check_architecture(reader);
  // Another architecture's keys would only be misunderstood.
  if (!reader.problems().empty()) throw core::InputError(reader.problems());
  const bool fla = spelled_as_fla(reader);
  check_unsupported(reader, fla);
  const std::vector<std::string> ignored = ignored_keys(reader, fla, name);
  ModelConfig config = read_fields(reader, fla);
  check_model_rules(reader, config, kKeyOfField);
  if (!reader.problems().empty()) throw core::InputError(reader.problems());
  if (notes != nullptr) *notes = ignored;
  return config;
}

TokenIds read_token_ids(std::string_view text, const std::string& name) {
  const nlohmann::json root = parse_python_json(text, name);
  if (!root.is_object()) return {.pad = "0", .bos = "0", .eos = "0"};
  TokenIds tokens = default_token_ids(ConfigReader(root, name));
  const auto is_id = [](const nlohmann::json& value) { return value.is_number_unsigned(); };
  const auto take = [&](const char* key, std::string& id) {
    const auto found = root.find(key);
    if (found == root.end()) return;
    const bool is_list =
        found->is_array() && !found->empty() && std::all_of(found->begin(), found->end(), is_id);
    if (found->is_null() || is_id(*found) || is_list) id = found->dump();
  };
  take("pad_token_id", tokens.pad);
  take("bos_token_id", tokens.bos);
  take("eos_token_id", tokens.eos);
  return tokens;
}

}  // namespace longhaul::model
