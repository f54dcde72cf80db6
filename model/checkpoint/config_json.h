// config.json of transformers' Mamba and Mamba-2; also in flash-linear-attention's spelling.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"

namespace longhaul::model {

/// `name` stands for the file in messages. Absent keys have transformers' defaults. A file that
/// uses one of flash-linear-attention's spellings must say what the two libraries' defaults differ
/// in. `notes`: a line for each key that says something else and is not followed. Throws InputError
/// listing every problem with its key.
ModelConfig parse_model_config(std::string_view text, const std::string& name,
                               std::vector<std::string>* notes = nullptr);

/// Values of pad_token_id, bos_token_id and eos_token_id, as JSON (a number, a list or null: not
/// known).
struct TokenIds {
  std::string pad = "null", bos = "null", eos = "null";
};
/// Those of a config.json; for each that it has not, or has as something else, the default of the
/// library it belongs to: transformers, flash-linear-attention or (without model_type) mamba_ssm,
/// which has none and gets that of the GPT-NeoX tokenizer of all its released models.
TokenIds read_token_ids(std::string_view text, const std::string& name);

/// What transformers needs to load the model; `dtype` is that of the stored tensors ("float32").
/// A model with an MLP, which transformers has not, gets a model_type of its own, so that nobody
/// loads it without noticing.
std::string model_config_json(const ModelConfig& config, const std::string& dtype,
                              const TokenIds& tokens = {});

}  // namespace longhaul::model
