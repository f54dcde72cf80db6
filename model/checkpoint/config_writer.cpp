#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/core/error.h"
#include "model/checkpoint/config_json.h"

namespace longhaul::model {

namespace {

/// Lines of a JSON object. By hand: transformers wants a bare Infinity, which no JSON library
/// writes.
class ObjectText {
 public:
  void string(const char* key, const std::string& value) {
    line(key, nlohmann::json(value).dump());
  }
  void boolean(const char* key, bool value) { line(key, value ? "true" : "false"); }
  void integer(const char* key, int64_t value) { line(key, std::to_string(value)); }
  void number(const char* key, double value) { line(key, spelled(value)); }
  void range(const char* key, double low, double high) {
    line(key, core::message("[", spelled(low), ", ", spelled(high), "]"));
  }
  void line(const char* key, const std::string& value) {
    text_.append(text_.empty() ? "  \"" : ",\n  \"").append(key).append("\": ").append(value);
  }
  std::string finish() const { return core::message("{\n", text_, "\n}\n"); }

 private:
  static std::string spelled(double value) {
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return nlohmann::json(value).dump();  // the shortest that reads back the same
  }

  std::string text_;
};

void write_expand(ObjectText& out, const ModelConfig& config) {
  if (config.inner() % config.width == 0) {
    return out.integer("expand", config.inner() / config.width);
  }
  out.number("expand", static_cast<double>(config.inner()) / static_cast<double>(config.width));
}

void write_mamba1(ObjectText& out, const ModelConfig& config) {
  out.line("architectures", "[\"MambaForCausalLM\"]");
  out.string("model_type", "mamba");
  write_expand(out, config);
  out.integer("intermediate_size", config.inner());
  out.integer("time_step_rank", config.time_step_rank());
}

void write_mamba2(ObjectText& out, const ModelConfig& config) {
  const bool has_mlp = config.mlp_width > 0;
  out.line("architectures", has_mlp ? "[\"Mamba2MlpForCausalLM\"]" : "[\"Mamba2ForCausalLM\"]");
  out.string("model_type", has_mlp ? "mamba2_mlp" : "mamba2");
  out.integer("num_heads", config.heads);
  out.integer("head_dim", config.head_dim);
  write_expand(out, config);
  out.integer("n_groups", config.groups);
  out.integer("chunk_size", config.chunk);
  if (has_mlp) out.integer("d_intermediate", config.mlp_width);
  out.boolean("rms_norm", true);
  out.range("time_step_limit", config.dt_low, config.dt_high);
}

}  // namespace

std::string model_config_json(const ModelConfig& config, const std::string& dtype,
                              const TokenIds& tokens) {
  ObjectText out;
  if (config.is_mamba1()) {
    write_mamba1(out, config);
  } else {
    write_mamba2(out, config);
  }
  out.integer("vocab_size", config.vocabulary);
  out.integer("hidden_size", config.width);
  out.integer("num_hidden_layers", config.layers);
  out.integer("state_size", config.state_dim);
  out.integer("conv_kernel", config.conv_width);
  out.boolean("use_bias", config.linear_bias);
  out.boolean("use_conv_bias", config.conv_bias);
  out.boolean("tie_word_embeddings", config.tied);
  out.string("hidden_act", "silu");
  out.number("layer_norm_epsilon", config.norm_epsilon);
  out.boolean("residual_in_fp32", config.residual_in_fp32);
  out.number("time_step_min", config.dt_min);
  out.number("time_step_max", config.dt_max);
  out.number("time_step_floor", config.dt_floor);
  if (config.a_low != 1 || config.a_high != 16) {
    out.range("A_init_range", config.a_low, config.a_high);
  }
  out.number("initializer_range", 0.1);
  out.boolean("rescale_prenorm_residual", false);
  out.boolean("use_cache", true);
  // What is left out has a default in transformers; null is none.
  out.line("pad_token_id", tokens.pad);
  out.line("bos_token_id", tokens.bos);
  out.line("eos_token_id", tokens.eos);
  out.string("torch_dtype", dtype);
  return out.finish();
}

}  // namespace longhaul::model
