#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "kernels/core/error.h"
#include "model/checkpoint/element_conversion.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/mapped_file.h"
#include "model/checkpoint/safetensors_header.h"
#include "model/checkpoint/weight_files.h"

namespace longhaul::model {

namespace {

using core::message;

constexpr size_t kLargestIndex = 100'000'000;
constexpr const char* kEmbedding = "backbone.embeddings.weight";
constexpr const char* kHead = "lm_head.weight";

/// mamba_ssm calls it embedding; transformers reads both.
std::string canonical(const std::string& name) {
  return name == "backbone.embedding.weight" ? kEmbedding : name;
}

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

struct Found {
  const SafetensorsFile* file;
  const StoredTensor* tensor;
};

class WeightFiles {
 public:
  explicit WeightFiles(const std::filesystem::path& folder) : folder_(folder) {
    std::error_code error;
    if (!std::filesystem::is_directory(folder, error)) {
      throw core::InputError(message(folder.string(), ": no such folder"));
    }
    if (is_there(folder / kWeightFile)) {
      const SafetensorsFile& file = open(kWeightFile);
      for (const StoredTensor& tensor : file.tensors()) add({&file, &tensor});
    } else if (is_there(folder / kIndexFile)) {
      open_shards();
    } else {
      problems_.push_back(message(folder.string(), ": expected ", kWeightFile, " or ", kIndexFile,
                                  is_there(folder / "pytorch_model.bin")
                                      ? ", found only pytorch_model.bin"
                                      : ", found neither"));
    }
    if (!problems_.empty()) throw core::InputError(problems_);
  }

  /// By canonical name.
  const std::map<std::string, Found>& tensors() const { return tensors_; }

 private:
  const SafetensorsFile& open(const std::string& name) {
    return files_.emplace(name, SafetensorsFile(folder_ / name)).first->second;
  }

  void open_shards() {
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

  void open_shard(const std::string& name, const std::map<std::string, std::string>& index) {
    const SafetensorsFile& file = open(name);
    for (const StoredTensor& tensor : file.tensors()) {
      const auto listed = index.find(tensor.name);
      if (listed != index.end() && listed->second == name) {
        add({&file, &tensor});
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

  void add(const Found& found) {
    if (!tensors_.emplace(canonical(found.tensor->name), found).second) {
      problems_.push_back(message(found.file->path().string(), ": tensor ",
                                  in_quotes(found.tensor->name), ": is there twice"));
    }
  }

  std::filesystem::path folder_;
  std::map<std::string, SafetensorsFile> files_;
  std::map<std::string, Found> tensors_;
  std::vector<std::string> problems_;
};

/// What is wrong with a stored tensor for a place of `shape` and `dtype`, or "".
std::string mismatch(const Found& found, const core::Shape& shape, core::DType dtype) {
  const StoredTensor& tensor = *found.tensor;
  std::string wrong;
  if (!(tensor.shape == shape)) {
    wrong = message("is ", tensor.shape, ", expected ", shape);
  } else if (!can_read(tensor.type, dtype)) {
    wrong = message("is ", name_of(tensor.type), ", expected a floating type");
  } else {
    return "";
  }
  return message(found.file->path().string(), ": tensor ", in_quotes(tensor.name), ": ", wrong);
}

std::vector<std::string> compare_lists(const std::filesystem::path& folder,
                                       const WeightFiles& files, bool tied,
                                       const ParameterSet& parameters) {
  std::vector<std::string> problems;
  for (const Parameter& parameter : parameters.list()) {
    if (!files.tensors().contains(parameter.name)) {
      problems.push_back(message(folder.string(), ": tensor ", in_quotes(parameter.name), " ",
                                 parameter.shape, ": missing"));
    }
  }
  for (const auto& [name, found] : files.tensors()) {
    const Parameter* parameter = parameters.find(tied && name == kHead ? kEmbedding : name);
    if (parameter == nullptr) {
      problems.push_back(message(found.file->path().string(), ": tensor ",
                                 in_quotes(found.tensor->name), " ", found.tensor->shape,
                                 ": unexpected"));
    } else if (std::string wrong = mismatch(found, parameter->shape, parameters.values().dtype());
               !wrong.empty()) {
      problems.push_back(std::move(wrong));
    }
  }
  return problems;
}

/// A head that was stored though it is tied must not differ from what it is tied to.
void check_tied_head(const Found& head, const Found& embedding, core::DType dtype) {
  const auto read = [dtype](const Found& found) {
    std::vector<char> values(
        static_cast<size_t>(found.tensor->shape.elements() * core::size_of(dtype)));
    found.file->read_as(*found.tensor, core::TensorView(values.data(), dtype, found.tensor->shape));
    return values;
  };
  if (read(head) == read(embedding)) return;
  throw core::InputError(message(head.file->path().string(), ": tensor ", in_quotes(kHead),
                                 ": differs from ", in_quotes(embedding.tensor->name),
                                 " though tie_word_embeddings is true"));
}

}  // namespace

void load_weights(const std::filesystem::path& folder, bool tied, const ParameterSet& parameters) {
  const WeightFiles files(folder);
  const auto problems = compare_lists(folder, files, tied, parameters);
  if (!problems.empty()) throw core::InputError(problems);
  const auto head = files.tensors().find(kHead);
  if (tied && head != files.tensors().end()) {
    check_tied_head(head->second, files.tensors().at(kEmbedding), parameters.values().dtype());
  }
  for (const Parameter& parameter : parameters.list()) {
    const Found& found = files.tensors().at(parameter.name);
    found.file->read_as(*found.tensor, parameters.value(parameter));
  }
  parameters.update_rounded();
}

}  // namespace longhaul::model
