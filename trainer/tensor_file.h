// Tensors of a run to and from safetensors files, bit for bit.
#pragma once

#include <cstddef>
#include <filesystem>
#include <list>
#include <string>
#include <vector>

#include "kernels/core/context.h"
#include "model/checkpoint/safetensors.h"

namespace longhaul::trainer {

model::StoredType stored_type(core::DType dtype);

/// Collects tensors and writes them from host memory.
class TensorFile {
 public:
  explicit TensorFile(core::Context& context) : context_(context) {}

  void add(const std::string& name, const core::TensorView& view);
  void write(const std::filesystem::path& path) const { model::write_safetensors(path, tensors_); }

 private:
  core::Context& context_;
  std::list<std::vector<std::byte>> memory_;
  std::vector<model::TensorToStore> tensors_;
};

}  // namespace longhaul::trainer
