#pragma once

#include <filesystem>
#include <string>

#include "model/checkpoint/stored_model.h"

namespace longhaul::launch {

struct ModelCard {
  std::string name;              ///< of the model
  std::filesystem::path run;     ///< that made it
  std::filesystem::path folder;  ///< where it lies: RUN/model or RUN/checkpoints/step-N
  const model::StoredModel& stored;
  std::string library;        ///< that loads what is written, as model hubs spell it
  std::string types;          ///< of the weights: "BF16"
  std::string initial_state;  ///< how to start from the learned one; "" if there is none
};

/// README.md of a model hub: what the model is made from and by, and what was measured of it (not
/// of the run's other models). The same run gives the same text.
std::string model_card(const ModelCard& card);

}  // namespace longhaul::launch
