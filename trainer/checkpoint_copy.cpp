#include "trainer/checkpoint_copy.h"

#include <algorithm>
#include <cstring>

#include "model/checkpoint/atomic_file.h"
#include "model/checkpoint/config_json.h"
#include "model/checkpoint/model_folder.h"

namespace longhaul::trainer {

namespace fs = std::filesystem;

std::vector<model::WeightFile> shared_weight_files(const std::vector<model::TensorStream>& tensors,
                                                   int64_t shard_bytes, int ranks) {
  int64_t total = 0;
  for (const model::TensorStream& tensor : tensors) total += tensor.bytes();
  const int64_t share = std::max(shard_bytes, (total + ranks - 1) / ranks);
  return model::weight_files(tensors, std::min(share, model::SaveOptions{}.shard_bytes));
}

int writer_of(size_t i, size_t files, int ranks) {
  return static_cast<int>(i * static_cast<size_t>(ranks) / files);
}

void CheckpointCopy::plan_weights() {
  tensors_.clear();
  for (const model::Parameter& parameter : model_->parameters().list()) {
    tensors_.push_back({.name = parameter.name,
                        .shape = parameter.shape,
                        .type = stored_type(model_->parameters().values().dtype()),
                        .origin = "tensor " + parameter.name,
                        .read = nullptr});
  }
  files_ = shared_weight_files(tensors_, share_.shard_bytes, share_.ranks);
}

void CheckpointCopy::take_source(const TrainingState& state) {
  model_ = &state.model;
  optimizer_ = &state.optimizer;
  if (files_.empty()) plan_weights();  // of one model all along
  if (!reader_) reader_.emplace(state.model.context());
  reader_->follow();
  source_.clear();
  if (share_.source < 0) return;
  for (const auto& tensor : state.source.stored()) source_.add(tensor.name, tensor.view, *reader_);
}

void CheckpointCopy::take_parameters() {
  moments_.clear();
  add_moments(moments_, *optimizer_, share_.rank, share_.ranks, *reader_);
  const core::TensorView values = model_->parameters().values();
  const std::vector<model::Parameter>& parameters = model_->parameters().list();
  values_.resize(parameters.size());
  for (size_t file = 0; file < files_.size(); ++file) {
    if (!is_own(file)) continue;
    for (size_t i = files_[file].begin; i < files_[file].end; ++i) {
      const core::TensorView own = values.slice(0, parameters[i].begin, parameters[i].end());
      reader_->read(own, values_[i].view_like(own));
    }
  }
  if (share_.rank != 0) return;
  config_json_ = model::model_config_json(
      model_->config(), values.dtype() == core::DType::kF64 ? "float64" : "float32");
}

void CheckpointCopy::write_weights(const fs::path& folder, std::vector<FileCheck>& checks) const {
  const auto element = static_cast<int64_t>(core::size_of(model_->parameters().values().dtype()));
  for (size_t file = 0; file < files_.size(); ++file) {
    if (!is_own(file)) continue;
    std::vector<model::TensorStream> own;
    for (size_t i = files_[file].begin; i < files_[file].end; ++i) {
      own.push_back(tensors_[i]);
      own.back().read = [first = values_[i].data(), element](int64_t begin, int64_t count,
                                                             void* target) {
        std::memcpy(target, first + begin * element, static_cast<size_t>(count * element));
      };
    }
    model::write_tensor_streams(folder / files_[file].name, own, {}, {},
                                model::WrittenTo::kNewFolder);
    checks.push_back(check_of(folder / files_[file].name));
  }
  if (share_.rank != 0) return;
  const auto write_text = [&](const char* name, const std::string& text) {
    model::write_file_atomically(folder / name, text, model::WrittenTo::kNewFolder);
    checks.push_back(check_of(folder / name));
  };
  write_text(model::kConfigFile, config_json_);
  if (files_.size() > 1) write_text(model::kIndexFile, model::weight_index(tensors_, files_));
}

std::vector<FileCheck> CheckpointCopy::write(const fs::path& folder) const {
  std::vector<FileCheck> checks;
  const auto write_tensors = [&](const TensorFile& tensors, const std::string& name) {
    tensors.write(folder / name);
    checks.push_back(check_of(folder / name));
  };
  if (share_.source >= 0) write_tensors(source_, source_file(share_.source));
  write_tensors(moments_, optimizer_file(share_.rank, share_.ranks));
  write_weights(folder, checks);
  return checks;
}

}  // namespace longhaul::trainer
