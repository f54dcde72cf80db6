// Mamba and Mamba-2 in llama.cpp's GGUF: their keys, the names and shapes of their tensors.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/checkpoint/gguf/gguf_file.h"
#include "model/checkpoint/gguf/gguf_tokenizer.h"
#include "model/checkpoint/stored_model.h"
#include "model/config.h"

namespace longhaul::model {

/// A GGUF file of architecture mamba or mamba2 as a model. A_log is the logarithm of what is
/// stored; the bias of the convolution is always there. Throws InputError naming every missing,
/// unexpected and mis-shaped tensor and key.
StoredModel open_gguf_model(const std::filesystem::path& path);
/// What llama.cpp calls it: "mamba2", or "mamba" without a number.
const char* gguf_architecture(Architecture architecture);
/// Of the file's keys and tensors.
ModelConfig read_gguf_config(const GgufHeader& header, const std::string& name);

struct GgufOptions {
  /// Of the matrices, but for those whose rows Q8_0 cannot hold (ssm_dt.weight); the rest is F32.
  GgufTensorType type = GgufTensorType::kF32;
  std::string name = "model";  ///< general.name
  GgufTokenizer tokenizer;
  std::function<void(int64_t bytes)> progress = {};
};
/// `tensors`: one for each of parameters_of(config), in that order. Throws InputError naming
/// all that llama.cpp's model cannot express.
void write_gguf_model(const ModelConfig& config, const std::vector<TensorStream>& tensors,
                      const std::filesystem::path& path, const GgufOptions& options);

/// The A_log whose −exp(A_log), rounded to fp32, is `decay`, if there is one, else the nearest; NaN
/// for what is no negative number.
float log_of_decay(float decay);

}  // namespace longhaul::model
