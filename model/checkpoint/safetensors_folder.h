#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/tensor_stream.h"

namespace longhaul::model {

/// The tensors of a folder's model.safetensors, or of the shards that its index lists; every tensor
/// must lie where the index says. Throws InputError listing everything that is wrong.
class SafetensorsFolder : public TensorFile {
 public:
  explicit SafetensorsFolder(const std::filesystem::path& folder);
  const std::vector<TensorStream>& tensors() const override { return streams_; }

 private:
  const SafetensorsFile& open(const std::string& name);
  void open_shards();
  void open_shard(const std::string& name, const std::map<std::string, std::string>& index);
  void add(const SafetensorsFile& file, const StoredTensor& tensor);

  std::filesystem::path folder_;
  std::map<std::string, SafetensorsFile> files_;
  std::vector<TensorStream> streams_;
  std::vector<std::string> problems_;
};

}  // namespace longhaul::model
