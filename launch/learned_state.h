// The learned initial state: the mean of the states that sequences leave behind, to start from
// instead of zeros.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "model/language_model.h"

namespace longhaul::launch {

struct LearnedStateOptions {
  int64_t length = 0;      ///< tokens of a sequence
  int64_t sequences = 64;  ///< at most; spread evenly over the tokens
};

/// One sequence's state, and where it comes from, in words.
struct LearnedState {
  std::vector<std::vector<double>> values;  ///< as the model's state_specs
  std::string origin;
};

/// `source` is a token folder: the mean final state of the model over its sequences, each read from
/// a state of zeros; or a run: the mean of the states that its newest checkpoint would hand on
/// (what it does not hand on, such as the conv's, is zero).
LearnedState learn_state(model::LanguageModel& model, const std::filesystem::path& source,
                         const LearnedStateOptions& options);

/// Tensors ssm.LAYER and conv.LAYER as `longhaul forward --initial-state` reads them, of one
/// sequence, F32.
void write_learned_state(const std::filesystem::path& file, const model::LanguageModel& model,
                         const LearnedState& state);

/// Removes the file that write_learned_state left of an earlier model; false where there is none,
/// or what is there is something else.
bool remove_learned_state(const std::filesystem::path& file);

/// How to start a model of this configuration from `file`, for people, as Markdown.
std::string how_to_load(const std::filesystem::path& folder, const std::string& file,
                        const model::ModelConfig& config);

}  // namespace longhaul::launch
