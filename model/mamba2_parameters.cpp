#include "model/mamba2_parameters.h"

#include <string>

namespace longhaul::model {

namespace {

void append_mixer(std::vector<Parameter>& list, const ModelConfig& config,
                  const std::string& mixer) {
  const int64_t width = config.width, inner = config.inner(), channels = config.conv_channels();
  // Rows of in_proj: z (E) · x (E) · B (G·N) · C (G·N) · dt (H).
  list.push_back({mixer + "in_proj.weight", {config.in_projection(), width}});
  if (config.linear_bias) list.push_back({mixer + "in_proj.bias", {config.in_projection()}, false});
  list.push_back({mixer + "conv1d.weight", {channels, 1, config.conv_width}});
  if (config.conv_bias) list.push_back({mixer + "conv1d.bias", {channels}, false});
  list.push_back({mixer + "dt_bias", {config.heads}, false});
  list.push_back({mixer + "A_log", {config.heads}, false});
  list.push_back({mixer + "D", {config.heads}, false});
  list.push_back({mixer + "norm.weight", {inner}, false});
  list.push_back({mixer + "out_proj.weight", {width, inner}});
  if (config.linear_bias) list.push_back({mixer + "out_proj.bias", {width}, false});
}

}  // namespace

std::vector<Parameter> mamba2_parameters(const ModelConfig& config) {
  const int64_t width = config.width, mlp = config.mlp_width;
  std::vector<Parameter> list;
  list.push_back({"backbone.embeddings.weight", {config.vocabulary, width}});
  for (int64_t i = 0; i < config.layers; ++i) {
    const std::string layer = "backbone.layers." + std::to_string(i) + ".";
    list.push_back({layer + "norm.weight", {width}, false});
    append_mixer(list, config, layer + "mixer.");
    if (mlp > 0) {
      list.push_back({layer + "norm2.weight", {width}, false});
      list.push_back({layer + "mlp.fc1.weight", {2 * mlp, width}});
      list.push_back({layer + "mlp.fc2.weight", {width, mlp}});
    }
  }
  list.push_back({"backbone.norm_f.weight", {width}, false});
  if (!config.tied) list.push_back({"lm_head.weight", {config.vocabulary, width}});
  return list;
}

}  // namespace longhaul::model
