#include "model/mamba2_parameters.h"

namespace longhaul::model {

void append_mamba2_layer(const ModelConfig& config, const std::string& layer,
                         std::vector<Parameter>& list) {
  const int64_t width = config.width, inner = config.inner(), channels = config.conv_channels();
  const int64_t mlp = config.mlp_width;
  const std::string mixer = layer + "mixer.";
  list.push_back({layer + "norm.weight", {width}, false});
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
  if (mlp == 0) return;
  list.push_back({layer + "norm2.weight", {width}, false});
  list.push_back({layer + "mlp.fc1.weight", {2 * mlp, width}});
  list.push_back({layer + "mlp.fc2.weight", {width, mlp}});
}

}  // namespace longhaul::model
