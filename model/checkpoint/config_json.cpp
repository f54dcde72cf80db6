#include "model/checkpoint/config_json.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "kernels/core/error.h"
#include "model/checkpoint/config_fields.h"
#include "model/checkpoint/config_reader.h"
#include "model/checkpoint/json_reading.h"

namespace longhaul::model {

namespace {

using core::message;

constexpr size_t kLargestConfig = size_t{16} << 20;

/// model_type and the class that a file of it names.
struct Kind {
  std::string_view type, class_name;
  Architecture architecture;
};
constexpr std::array<Kind, 3> kKinds = {{
    {"mamba2", "Mamba2ForCausalLM", Architecture::kMamba2},
    {"mamba2_mlp", "Mamba2MlpForCausalLM", Architecture::kMamba2},
    {"mamba", "MambaForCausalLM", Architecture::kMamba1},
}};

/// Mamba-2, with the problems told, where the file has another.
Architecture read_architecture(ConfigReader& reader) {
  const std::string type = reader.string({"model_type"}, "");
  const auto kind =
      std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& one) { return one.type == type; });
  if (kind == kKinds.end()) {
    const char* hint = "";
    if (type == "falcon_mamba") {
      hint = " (which norms B, C and the time step: not supported)";
    } else if (reader.has("d_model") || reader.has("ssm_cfg")) {
      hint = " (d_model and ssm_cfg belong to the state-spaces layout)";
    }
    reader.problem("model_type", message("expected \"mamba2\" or \"mamba\", is ",
                                         reader.shown("model_type"), hint));
    return Architecture::kMamba2;
  }
  const auto names = reader.strings({"architectures"});
  const auto fits = [&](const std::string& name) {
    return std::any_of(kKinds.begin(), kKinds.end(), [&](const Kind& one) {
      return one.class_name == name && one.architecture == kind->architecture;
    });
  };
  if (!names.empty() && std::none_of(names.begin(), names.end(), fits)) {
    reader.problem("architectures", message("expected ", in_quotes(kind->class_name), ", is ",
                                            reader.shown("architectures")));
  }
  return kind->architecture;
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

/// Of what a config.json leaves out, by the library that it belongs to.
TokenIds default_token_ids(const ConfigReader& reader) {
  // state-spaces: the GPT-NeoX tokenizer's, which all released models of it use.
  const TokenIds neox = {.pad = "0", .bos = "0", .eos = "0"};
  if (!reader.has("model_type")) return neox;
  if (spelled_as_fla(reader)) return {.pad = "0", .bos = "1", .eos = "2"};
  if (reader.shown("model_type") == "\"mamba\"") return neox;
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
  const Architecture architecture = read_architecture(reader);
  // Another architecture's keys would only be misunderstood.
  if (!reader.problems().empty()) throw core::InputError(reader.problems());
  const bool fla = spelled_as_fla(reader);
  check_unsupported(reader, fla);
  const std::vector<std::string> ignored = ignored_keys(reader, fla, name);
  ModelConfig config = read_model_fields(reader, architecture, fla);
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
