#include "model/checkpoint/model_parts.h"

#include "kernels/core/error.h"
#include "model/checkpoint/model_writing.h"
#include "model/checkpoint/stored_model.h"

namespace longhaul::model {

StoredType parse_stored_type(const std::string& spelled) {
  for (const auto type : {StoredType::kF32, StoredType::kBF16, StoredType::kF16}) {
    if (spelled == spelled_type(type)) return type;
  }
  throw core::InputError(core::message("dtype of a stored model: expected float32, bfloat16 or ",
                                       "float16, is \"", spelled, "\""));
}

ModelConfig read_model_config(const std::filesystem::path& path) {
  return read_stored_config(path);
}

void save_model_parts(const ModelConfig& config, const ParameterSet& parameters,
                      const std::filesystem::path& folder, const SaveOptions& options) {
  write_model_folder(config, streams_of(parameters), folder,
                     {.type = parse_stored_type(options.dtype),
                      .shard_bytes = options.shard_bytes,
                      .companions = options.companions});
}

}  // namespace longhaul::model
