#pragma once

#include <filesystem>
#include <vector>

#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/tensor_stream.h"

namespace longhaul::model {

/// A tensor of `file`, both of which must outlive it.
TensorStream stream_of(const SafetensorsFile& file, const StoredTensor& tensor);

/// The tensors of one safetensors file. Throws InputError as SafetensorsFile does.
class SafetensorsTensors : public TensorFile {
 public:
  explicit SafetensorsTensors(const std::filesystem::path& path);
  const std::vector<TensorStream>& tensors() const override { return streams_; }

 private:
  SafetensorsFile file_;
  std::vector<TensorStream> streams_;
};

}  // namespace longhaul::model
