#include "trainer/checkpoint_copy.h"

#include <cstring>

#include "model/checkpoint/atomic_file.h"
#include "model/checkpoint/config_json.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/tensor_stream.h"
#include "model/checkpoint/weight_files.h"

namespace longhaul::trainer {

namespace fs = std::filesystem;

CheckpointCopy::CheckpointCopy(core::Context& context, CheckpointShare share)
    : context_(context), share_(share), source_(context), moments_(context) {}

void CheckpointCopy::take(const TrainingState& state) {
  source_.clear();
  moments_.clear();
  if (share_.source >= 0) {
    for (const auto& tensor : state.source.stored()) source_.add(tensor.name, tensor.view);
  }
  add_moments(moments_, state.optimizer, share_.rank, share_.ranks);
  if (share_.has_model()) take_model(state.model);
  core::synchronize(context_);
}

void CheckpointCopy::take_model(const model::LanguageModel& model) {
  const core::TensorView values = model.parameters().values();
  dtype_ = values.dtype();
  parameters_ = model.parameters().list();
  core::copy(context_, values, values_.view_like(values));
  config_json_ =
      model::model_config_json(model.config(), dtype_ == core::DType::kF64 ? "float64" : "float32");
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
