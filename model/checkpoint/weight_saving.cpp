#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "model/checkpoint/atomic_file.h"
#include "model/checkpoint/safetensors_header.h"
#include "model/checkpoint/weight_files.h"

namespace longhaul::model {

namespace {

using Shard = std::vector<TensorToStore>;

std::vector<Shard> distribute(const ParameterSet& parameters, StoredType type,
                              int64_t shard_bytes) {
  std::vector<Shard> shards(1);
  int64_t filled = 0;
  for (const Parameter& parameter : parameters.list()) {
    const int64_t bytes = parameter.elements() * static_cast<int64_t>(size_of(type));
    if (!shards.back().empty() && filled + bytes > shard_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back({parameter.name, parameters.value(parameter), type});
    filled += bytes;
  }
  return shards;
}

std::string shard_name(size_t index, size_t count) {
  std::array<char, 64> name{};
  std::snprintf(name.data(), name.size(), "model-%05zu-of-%05zu.safetensors", index + 1, count);
  return name.data();
}

}  // namespace

void save_weights(const std::filesystem::path& folder, const ParameterSet& parameters,
                  StoredType type, int64_t shard_bytes) {
  const auto shards = distribute(parameters, type, shard_bytes);
  if (shards.size() == 1) {
    write_safetensors(folder / kWeightFile, shards.front());
    return;
  }
  nlohmann::ordered_json index;
  index["metadata"] = {{"total_size", parameters.count() * static_cast<int64_t>(size_of(type))}};
  auto& files = index["weight_map"] = nlohmann::ordered_json::object();
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = shard_name(i, shards.size());
    write_safetensors(folder / name, shards[i]);
    for (const TensorToStore& tensor : shards[i]) files[tensor.name] = name;
  }
  write_file_atomically(folder / kIndexFile, index.dump(2) + "\n");
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
