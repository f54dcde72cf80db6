#pragma once

#include <filesystem>
#include <string>

#include "model/config.h"

namespace longhaul::launch {

struct ModelCard {
  std::string name;           ///< of the model
  std::filesystem::path run;  ///< that made it
  model::ModelConfig config;
  int64_t parameters = 0;
  std::string types;          ///< of the weights: "BF16"
  std::string initial_state;  ///< how to start from the learned one; "" if there is none
};

/// README.md of a model hub: what the model is made from and by, and what was measured. The same
/// run gives the same text.
std::string model_card(const ModelCard& card);

}  // namespace longhaul::launch
