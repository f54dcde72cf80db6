#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "kernels/core/random_access_file.h"
#include "model/checkpoint/tensor_stream.h"
#include "model/checkpoint/torch/torch_archive.h"

namespace longhaul::model {

/// A file that torch.save wrote of a state_dict (pytorch_model.bin).
class TorchFile : public TensorFile {
 public:
  explicit TorchFile(const std::filesystem::path& path);
  const std::vector<TensorStream>& tensors() const override { return streams_; }

  /// Two tensors with elements in common; `is_same`: the same elements in the same shape (tied
  /// weights are stored so).
  struct Alias {
    std::string first, second;
    bool is_same = false;
  };
  const std::vector<Alias>& aliases() const { return aliases_; }

 private:
  void read(const TorchTensor& tensor, int64_t begin, int64_t count, void* target);

  core::RandomAccessFile file_;
  std::vector<TorchTensor> tensors_;
  std::map<const TorchTensor*, std::string> strided_;  // whole, from first to last element
  std::vector<TensorStream> streams_;
  std::vector<Alias> aliases_;
};

}  // namespace longhaul::model
