// A model folder in the Hugging Face layout: config.json and model.safetensors (one file, or shards
// with model.safetensors.index.json). Names and keys: transformers' MambaForCausalLM and
// Mamba2ForCausalLM.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "model/checkpoint/atomic_file.h"
#include "model/config.h"
#include "model/language_model.h"

namespace longhaul::model {

/// Of a model in any format that open_stored_model reads. Throws InputError listing every problem
/// with its key.
ModelConfig read_model_config(const std::filesystem::path& path);

/// Fills the parameters from a run, a model folder or a GGUF file. Missing, unexpected, mis-shaped
/// and mis-typed tensors are all named in one InputError. A tied head that is present must equal
/// the embedding.
void load_parameters(const std::filesystem::path& path, LanguageModel& model);

/// A model in any format that open_stored_model reads.
std::unique_ptr<LanguageModel> load_model(core::Context& context, const std::filesystem::path& path,
                                          core::DType dtype = core::DType::kF32);

struct SaveOptions {
  std::string dtype = "float32";                       ///< float32 · bfloat16 · float16
  int64_t shard_bytes = int64_t{5} << 30;              ///< above this, shards and an index
  std::vector<std::filesystem::path> companions = {};  ///< copied beside the weights
};
/// Writes to a folder beside `folder`, fsyncs, renames. Refuses to replace a folder that is not a
/// model folder.
void save_model(const LanguageModel& model, const std::filesystem::path& folder,
                const SaveOptions& options = {});

}  // namespace longhaul::model
