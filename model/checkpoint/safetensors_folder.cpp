#include "model/checkpoint/safetensors_folder.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "kernels/core/error.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/mapped_file.h"
#include "model/checkpoint/safetensors_header.h"
#include "model/checkpoint/weight_files.h"

namespace longhaul::model {

namespace {

using core::message;

constexpr size_t kLargestIndex = 100'000'000;

bool is_there(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

/// File of each tensor. Names that would leave the folder are problems.
std::map<std::string, std::string> read_index(const std::filesystem::path& path,
                                              std::vector<std::string>& problems) {
  const MappedFile file(path);
  if (file.size() > kLargestIndex) {
    throw core::InputError(
        message(path.string(), ": ", file.size(), " bytes, the most is ", kLargestIndex));
  }
  const nlohmann::json root = parse_json(file.text(), path.string());
  const auto found = root.is_object() ? root.find("weight_map") : root.end();
  if (found == root.end() || !found->is_object()) {
    throw core::InputError(
        message(path.string(), ": weight_map: expected an object of tensor names and file names"));
  }
  std::map<std::string, std::string> files;
  for (const auto& [name, value] : found->items()) {
    const std::string file_name = value.is_string() ? value.get<std::string>() : "";
    if (file_name.empty() || file_name == "." || file_name == ".." ||
        file_name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
      problems.push_back(message(path.string(), ": weight_map: ", in_quotes(name),
                                 ": expected the name of a file in this folder, is ",
                                 shown(value)));
    } else {
      files[name] = file_name;
    }
  }
  return files;
}

}  // namespace

SafetensorsFolder::SafetensorsFolder(const std::filesystem::path& folder) : folder_(folder) {
  if (is_there(folder / kWeightFile)) {
    const SafetensorsFile& file = open(kWeightFile);
    for (const StoredTensor& tensor : file.tensors()) add(file, tensor);
  } else {
    open_shards();
  }
  if (!problems_.empty()) throw core::InputError(problems_);
}

const SafetensorsFile& SafetensorsFolder::open(const std::string& name) {
  return files_.emplace(name, SafetensorsFile(folder_ / name)).first->second;
}

void SafetensorsFolder::open_shards() {
  const auto index = read_index(folder_ / kIndexFile, problems_);
  std::set<std::string> names;
  for (const auto& [tensor, file] : index) names.insert(file);
  for (const std::string& name : names) {
    try {
      open_shard(name, index);
    } catch (const core::InputError& error) {
      problems_.insert(problems_.end(), error.problems().begin(), error.problems().end());
    }
  }
}

void SafetensorsFolder::open_shard(const std::string& name,
                                   const std::map<std::string, std::string>& index) {
  const SafetensorsFile& file = open(name);
  for (const StoredTensor& tensor : file.tensors()) {
    const auto listed = index.find(tensor.name);
    if (listed != index.end() && listed->second == name) {
      add(file, tensor);
    } else {
      problems_.push_back(message(file.path().string(), ": tensor ", in_quotes(tensor.name),
                                  ": is not this file's in ", kIndexFile));
    }
  }
  for (const auto& [tensor, holder] : index) {
    if (holder == name && file.find(tensor) == nullptr) {
      problems_.push_back(message(file.path().string(), ": tensor ", in_quotes(tensor),
                                  ": missing, though ", kIndexFile, " lists it here"));
    }
  }
}

void SafetensorsFolder::add(const SafetensorsFile& file, const StoredTensor& tensor) {
  TensorStream stream;
  stream.name = tensor.name;
  stream.shape = tensor.shape;
  stream.type = tensor.type;
  stream.origin = message(file.path().string(), ": tensor ", in_quotes(tensor.name));
  stream.read = [&file, &tensor](int64_t begin, int64_t count, void* target) {
    file.read_bytes(tensor, static_cast<uint64_t>(begin) * size_of(tensor.type),
                    static_cast<uint64_t>(count) * size_of(tensor.type), target);
  };
  streams_.push_back(std::move(stream));
}

}  // namespace longhaul::model
