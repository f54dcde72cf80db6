#include "model/checkpoint/gguf/gguf_names.h"

#include "model/checkpoint/tensor_names.h"

namespace longhaul::model {

GgufPlace gguf_place(const Parameter& parameter, const ModelConfig& config) {
  const std::string& name = parameter.name;
  if (name == kEmbedding) return {"token_embd.weight", parameter.shape, true};
  if (name == kHead) return {"output.weight", parameter.shape, true};
  if (name == "backbone.norm_f.weight") return {"output_norm.weight", parameter.shape};
  const std::string prefix = "backbone.layers.";
  if (!name.starts_with(prefix)) return {};
  const size_t dot = name.find('.', prefix.size());
  const std::string block = "blk." + name.substr(prefix.size(), dot - prefix.size()) + ".";
  const std::string part = name.substr(dot + 1);
  if (part == "norm.weight") return {block + "attn_norm.weight", parameter.shape};
  if (part == "mixer.in_proj.weight") return {block + "ssm_in.weight", parameter.shape, true};
  if (part == "mixer.out_proj.weight") return {block + "ssm_out.weight", parameter.shape, true};
  if (part == "mixer.conv1d.weight") {
    return {block + "ssm_conv1d.weight", {parameter.shape[0], parameter.shape[2]}};
  }
  if (part == "mixer.conv1d.bias") return {block + "ssm_conv1d.bias", parameter.shape};
  if (config.is_mamba1()) {
    if (part == "mixer.x_proj.weight") return {block + "ssm_x.weight", parameter.shape, true};
    if (part == "mixer.dt_proj.weight") return {block + "ssm_dt.weight", parameter.shape, true};
    if (part == "mixer.dt_proj.bias") return {block + "ssm_dt.bias", parameter.shape};
    if (part == "mixer.A_log") return {block + "ssm_a", parameter.shape};
    if (part == "mixer.D") return {block + "ssm_d", parameter.shape};
    return {};
  }
  if (part == "mixer.dt_bias") return {block + "ssm_dt.bias", parameter.shape};
  if (part == "mixer.A_log") return {block + "ssm_a", {parameter.shape[0], 1}};
  if (part == "mixer.D") return {block + "ssm_d", {parameter.shape[0], 1}};
  if (part == "mixer.norm.weight") {
    return {block + "ssm_norm.weight", {config.groups, config.inner() / config.groups}};
  }
  return {};
}

}  // namespace longhaul::model
