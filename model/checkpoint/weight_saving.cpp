#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "model/checkpoint/atomic_file.h"
#include "model/checkpoint/tensor_stream.h"
#include "model/checkpoint/weight_files.h"

namespace longhaul::model {

namespace {

std::string shard_name(size_t index, size_t count) {
  std::array<char, 64> name{};
  std::snprintf(name.data(), name.size(), "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name.data();
}

}  // namespace

std::vector<WeightFile> weight_files(const std::vector<TensorStream>& tensors,
                                     int64_t shard_bytes) {
  std::vector<WeightFile> files(1);
  int64_t filled = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (i > files.back().begin && filled + tensors[i].bytes() > shard_bytes) {
      files.push_back({.name = "", .begin = i, .end = i});
      filled = 0;
    }
    files.back().end = i + 1;
    filled += tensors[i].bytes();
  }
  for (size_t i = 0; i < files.size(); ++i) {
    files[i].name = files.size() == 1 ? kWeightFile : shard_name(i, files.size());
  }
  return files;
}

std::string weight_index(const std::vector<TensorStream>& tensors,
                         const std::vector<WeightFile>& files) {
  int64_t total = 0;
  for (const TensorStream& tensor : tensors) total += tensor.bytes();
  nlohmann::ordered_json index;
  index["metadata"] = {{"total_size", total}};
  auto& map = index["weight_map"] = nlohmann::ordered_json::object();
  for (const WeightFile& file : files) {
    for (size_t i = file.begin; i < file.end; ++i) map[tensors[i].name] = file.name;
  }
  return index.dump(2) + "\n";
}

void save_weights(const std::filesystem::path& folder, const std::vector<TensorStream>& tensors,
                  int64_t shard_bytes, const WriteProgress& progress) {
  const std::vector<WeightFile> files = weight_files(tensors, shard_bytes);
  for (const WeightFile& file : files) {
    const std::vector<TensorStream> own(tensors.begin() + static_cast<std::ptrdiff_t>(file.begin),
                                        tensors.begin() + static_cast<std::ptrdiff_t>(file.end));
    write_tensor_streams(folder / file.name, own, progress);
  }
  if (files.size() == 1) return;
  write_file_atomically(folder / kIndexFile, weight_index(tensors, files));
}

void save_weights(const std::filesystem::path& folder, const ParameterSet& parameters,
                  StoredType type, int64_t shard_bytes) {
  std::vector<TensorStream> tensors;
  for (const TensorStream& tensor : streams_of(parameters)) {
    tensors.push_back(converted(tensor, type));
  }
  save_weights(folder, tensors, shard_bytes);
}

bool is_model_file(const std::string& name) {
  if (name == kConfigFile || name == kWeightFile || name == kIndexFile) return true;
  constexpr std::string_view kPattern = "model-#####-of-#####.safetensors";
  if (name.size() != kPattern.size()) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool is_digit = name[i] >= '0' && name[i] <= '9';
    if (kPattern[i] == '#' ? !is_digit : name[i] != kPattern[i]) return false;
  }
  return true;
}

}  // namespace longhaul::model
