// A language model of any architecture as plain loops in double, token by token, written from the
// formulas and sharing no code with the model: the oracle for logits, loss and states.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/config.h"

namespace longhaul::testing {

using NamedValues = std::map<std::string, std::vector<double>>;

/// One sequence. `state` holds "ssm.{layer}" [heads, head_dim, state] (Mamba-1: [channels, state])
/// and "conv.{layer}" [K − 1, channels]; missing entries are zeros; it is left as the final state.
/// Returns logits [length, vocabulary].
std::vector<double> reference_logits(const model::ModelConfig& config,
                                     const NamedValues& parameters,
                                     const std::vector<int32_t>& tokens, NamedValues& state);

/// Mean of −log softmax(logits)[label] over labels that are not −1, in nats.
double reference_loss(const std::vector<double>& logits, const std::vector<int32_t>& labels);

}  // namespace longhaul::testing
