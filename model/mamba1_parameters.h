#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "model/parameters.h"

namespace longhaul::model {

/// Those of one layer, whose names begin with `layer` ("backbone.layers.3.").
void append_mamba1_layer(const ModelConfig& config, const std::string& layer,
                         std::vector<Parameter>& list);

}  // namespace longhaul::model
