#include "trainer/checkpoint_copy.h"

#include <cstring>

#include "model/checkpoint/atomic_file.h"
#include "model/checkpoint/config_json.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/tensor_stream.h"
#include "model/checkpoint/weight_files.h"

namespace longhaul::trainer {

namespace fs = std::filesystem;

void CheckpointCopy::take_source(const TrainingState& state) {
  model_ = &state.model;
  optimizer_ = &state.optimizer;
  source_.clear();
  if (share_.source < 0) return;
  for (const auto& tensor : state.source.stored()) source_.add(tensor.name, tensor.view);
}

void CheckpointCopy::take_parameters() {
  moments_.clear();
  add_moments(moments_, *optimizer_, share_.rank, share_.ranks);
  if (!share_.has_model()) return;
  const core::TensorView values = model_->parameters().values();
  dtype_ = values.dtype();
  parameters_ = model_->parameters().list();
  core::copy_now(values, values_.view_like(values));
  config_json_ = model::model_config_json(model_->config(),
                                          dtype_ == core::DType::kF64 ? "float64" : "float32");
}

void CheckpointCopy::write_model(const fs::path& folder) const {
  const auto element = static_cast<int64_t>(core::size_of(dtype_));
  std::vector<model::TensorStream> streams;
  for (const model::Parameter& parameter : parameters_) {
    const std::byte* first = values_.data() + parameter.begin * element;
    streams.push_back({.name = parameter.name,
                       .shape = parameter.shape,
                       .type = stored_type(dtype_),
                       .origin = "tensor " + parameter.name,
                       .read = [first, element](int64_t begin, int64_t count, void* target) {
                         std::memcpy(target, first + begin * element,
                                     static_cast<size_t>(count * element));
                       }});
  }
  model::save_weights(folder, streams, model::SaveOptions{}.shard_bytes);
  model::write_file_atomically(folder / model::kConfigFile, config_json_);
}

std::vector<FileCheck> CheckpointCopy::write(const fs::path& folder) const {
  std::vector<FileCheck> checks;
  const auto write_tensors = [&](const TensorFile& tensors, const std::string& name) {
    tensors.write(folder / name);
    checks.push_back(check_of(folder / name));
  };
  if (share_.source >= 0) write_tensors(source_, source_file(share_.source));
  write_tensors(moments_, optimizer_file(share_.rank, share_.ranks));
  if (!share_.has_model()) return checks;
  write_model(folder);
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (model::is_model_file(entry.path().filename().string())) {
      checks.push_back(check_of(entry.path()));
    }
  }
  return checks;
}

}  // namespace longhaul::trainer
