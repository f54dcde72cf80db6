#pragma once

#include <filesystem>
#include <vector>

#include "kernels/core/random_access_file.h"
#include "model/checkpoint/gguf/gguf_header.h"
#include "model/checkpoint/tensor_stream.h"

namespace longhaul::model {

/// A GGUF file; its tensors by the file's names, Q8_0 read as F32.
class GgufFile : public TensorFile {
 public:
  explicit GgufFile(const std::filesystem::path& path);
  const std::vector<TensorStream>& tensors() const override { return streams_; }
  const GgufHeader& header() const { return header_; }

 private:
  void read(const GgufTensor& tensor, int64_t begin, int64_t count, void* target) const;

  core::RandomAccessFile file_;
  GgufHeader header_;
  std::vector<TensorStream> streams_;
};

/// Whether the file begins as a GGUF file does; false where there is none.
bool is_gguf_file(const std::filesystem::path& path);

}  // namespace longhaul::model
