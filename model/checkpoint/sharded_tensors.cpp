#include "model/checkpoint/sharded_tensors.h"

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "kernels/core/error.h"
#include "kernels/core/random_access_file.h"
#include "model/checkpoint/json_reading.h"

namespace longhaul::model {

namespace {

using core::message;

constexpr int64_t kLargestIndex = 100'000'000;

/// File of each tensor. Names that would leave the folder are problems.
std::map<std::string, std::string> read_index(const std::filesystem::path& path,
                                              std::vector<std::string>& problems) {
  const nlohmann::json root = parse_json(core::read_file(path, kLargestIndex), path.string());
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

ShardedTensors::ShardedTensors(const std::filesystem::path& index, const Open& open) {
  std::vector<std::string> problems;
  const auto holders = read_index(index, problems);
  std::set<std::string> names;
  for (const auto& [tensor, file] : holders) names.insert(file);
  for (const std::string& name : names) {
    try {
      files_[name] = open(index.parent_path() / name);
      add(index, name, holders, problems);
    } catch (const core::InputError& error) {
      problems.insert(problems.end(), error.problems().begin(), error.problems().end());
    }
  }
  if (!problems.empty()) throw core::InputError(problems);
}

void ShardedTensors::add(const std::filesystem::path& index, const std::string& name,
                         const std::map<std::string, std::string>& holders,
                         std::vector<std::string>& problems) {
  std::set<std::string> found;
  for (const TensorStream& tensor : files_[name]->tensors()) {
    found.insert(tensor.name);
    const auto listed = holders.find(tensor.name);
    if (listed != holders.end() && listed->second == name) {
      streams_.push_back(tensor);
    } else {
      problems.push_back(
          message(tensor.origin, ": is not this file's in ", index.filename().string()));
    }
  }
  for (const auto& [tensor, holder] : holders) {
    if (holder == name && !found.contains(tensor)) {
      problems.push_back(message((index.parent_path() / name).string(), ": tensor ",
                                 in_quotes(tensor), ": missing, though ", index.filename().string(),
                                 " lists it here"));
    }
  }
}

}  // namespace longhaul::model
