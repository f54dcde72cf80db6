#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kernels/core/mapped_file.h"
#include "model/checkpoint/tensor_stream.h"
#include "model/checkpoint/torch/torch_archive.h"

namespace longhaul::model {

/// A file that torch.save wrote of a state_dict (pytorch_model.bin), memory-mapped.
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
  core::MappedFile file_;
  std::vector<TorchTensor> tensors_;
  std::vector<TensorStream> streams_;
  std::vector<Alias> aliases_;
};

}  // namespace longhaul::model
