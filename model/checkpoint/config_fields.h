// What the keys of a config.json say, in transformers' spelling and flash-linear-attention's.
#pragma once

#include "model/checkpoint/config_reader.h"
#include "model/config.h"

namespace longhaul::model {

/// Whether a key is there that flash-linear-attention alone writes.
bool spelled_as_fla(const ConfigReader& reader);

/// A model of this architecture, held against its rules; what is wrong is left in `reader`. Absent
/// keys have transformers' defaults, but with `fla` those must be there whose defaults differ.
ModelConfig read_model_fields(ConfigReader& reader, Architecture architecture, bool fla);

}  // namespace longhaul::model
