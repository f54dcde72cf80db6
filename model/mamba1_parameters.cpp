#include "model/mamba1_parameters.h"

namespace longhaul::model {

void append_mamba1_layer(const ModelConfig& config, const std::string& layer,
                         std::vector<Parameter>& list) {
  const int64_t width = config.width, inner = config.inner(), state = config.state_dim;
  const int64_t rank = config.time_step_rank();
  const std::string mixer = layer + "mixer.";
  list.push_back({layer + "norm.weight", {width}, false});
  // Rows of in_proj: x (E) · z (E).
  list.push_back({mixer + "in_proj.weight", {config.in_projection(), width}});
  if (config.linear_bias) list.push_back({mixer + "in_proj.bias", {config.in_projection()}, false});
  list.push_back({mixer + "conv1d.weight", {inner, 1, config.conv_width}});
  if (config.conv_bias) list.push_back({mixer + "conv1d.bias", {inner}, false});
  // Rows of x_proj: dt (R) · B (N) · C (N).
  list.push_back({mixer + "x_proj.weight", {rank + 2 * state, inner}});
  list.push_back({mixer + "dt_proj.weight", {inner, rank}});
  list.push_back({mixer + "dt_proj.bias", {inner}, false});
  list.push_back({mixer + "A_log", {inner, state}, false});
  list.push_back({mixer + "D", {inner}, false});
  list.push_back({mixer + "out_proj.weight", {width, inner}});
  if (config.linear_bias) list.push_back({mixer + "out_proj.bias", {width}, false});
}

}  // namespace longhaul::model
