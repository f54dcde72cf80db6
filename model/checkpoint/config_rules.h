#pragma once

#include <span>
#include <string_view>
#include <utility>

#include "model/checkpoint/config_reader.h"
#include "model/config.h"

namespace longhaul::model {

/// An inner width that can be calculated with before the rules, which allow less, are applied.
inline constexpr double kWidest = 1e12;

/// A field of ModelConfig and what the file at hand calls it.
using KeyOfField = std::pair<std::string_view, std::string_view>;

/// Applies ModelConfig's own rules to what was read; what breaks them is told by the file's keys. A
/// field without a key is told by its own name.
void check_model_rules(ConfigReader& reader, ModelConfig& config, std::span<const KeyOfField> keys);

}  // namespace longhaul::model
