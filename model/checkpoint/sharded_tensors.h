#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/checkpoint/tensor_stream.h"

namespace longhaul::model {

/// The tensors of the files that an index (…index.json: weight_map, tensor → file) lists, all in
/// its folder; every tensor must lie where the index says. Throws InputError listing everything
/// that is wrong.
class ShardedTensors : public TensorFile {
 public:
  using Open = std::function<std::unique_ptr<TensorFile>(const std::filesystem::path& file)>;

  ShardedTensors(const std::filesystem::path& index, const Open& open);
  const std::vector<TensorStream>& tensors() const override { return streams_; }

 private:
  void add(const std::filesystem::path& index, const std::string& name,
           const std::map<std::string, std::string>& holders, std::vector<std::string>& problems);

  std::map<std::string, std::unique_ptr<TensorFile>> files_;
  std::vector<TensorStream> streams_;
};

}  // namespace longhaul::model
