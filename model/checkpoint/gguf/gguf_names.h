#pragma once

#include <string>

#include "kernels/core/shape.h"
#include "model/config.h"
#include "model/parameters.h"

namespace longhaul::model {

/// What GGUF calls a parameter, "" if it has none, and the shape it has there (slowest extent
/// first; the elements are in the same order).
struct GgufPlace {
  std::string name;
  core::Shape shape;
  bool is_matrix = false;  ///< may be stored in 16 or 8 bits; the rest is F32
};
GgufPlace gguf_place(const Parameter& parameter, const ModelConfig& config);

}  // namespace longhaul::model
