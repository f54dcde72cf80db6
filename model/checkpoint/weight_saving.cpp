#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "model/checkpoint/atomic_file.h"
#include "model/checkpoint/tensor_stream.h"
#include "model/checkpoint/weight_files.h"

namespace longhaul::model {

namespace {

using Shard = std::vector<TensorStream>;

std::vector<Shard> distribute(const std::vector<TensorStream>& tensors, int64_t shard_bytes) {
  std::vector<Shard> shards(1);
  int64_t filled = 0;
  for (const TensorStream& tensor : tensors) {
    if (!shards.back().empty() && filled + tensor.bytes() > shard_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(tensor);
    filled += tensor.bytes();
  }
  return shards;
}

std::string shard_name(size_t index, size_t count) {
  std::array<char, 64> name{};
  std::snprintf(name.data(), name.size(), "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name.data();
}

}  // namespace

void save_weights(const std::filesystem::path& folder, const std::vector<TensorStream>& tensors,
                  int64_t shard_bytes, const WriteProgress& progress) {
  const auto shards = distribute(tensors, shard_bytes);
  if (shards.size() == 1) {
    write_tensor_streams(folder / kWeightFile, shards.front(), progress);
    return;
  }
  int64_t total = 0;
  for (const TensorStream& tensor : tensors) total += tensor.bytes();
  nlohmann::ordered_json index;
  index["metadata"] = {{"total_size", total}};
  auto& files = index["weight_map"] = nlohmann::ordered_json::object();
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(i, shards.size());
    write_tensor_streams(folder / name, shards[i], progress);
    for (const TensorStream& tensor : shards[i]) files[tensor.name] = name;
  }
  write_file_atomically(folder / kIndexFile, index.dump(2) + "\n");
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
