// Names of tensors that more than one format needs.
#pragma once

#include <string>

namespace longhaul::model {

inline constexpr const char* kEmbedding = "backbone.embeddings.weight";
inline constexpr const char* kStateSpacesEmbedding = "backbone.embedding.weight";
inline constexpr const char* kHead = "lm_head.weight";

/// mamba_ssm calls it embedding; transformers reads both.
inline std::string canonical_name(const std::string& name) {
  return name == kStateSpacesEmbedding ? kEmbedding : name;
}

}  // namespace longhaul::model
