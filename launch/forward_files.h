// The files of `longhaul forward` (DESIGN: contracts at the edges).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "kernels/core/tensor.h"
#include "model/checkpoint/safetensors.h"
#include "model/language_model.h"

namespace longhaul::launch {

/// Tensor `tokens` I32 [batch, length], every token within the vocabulary.
struct TokenMatrix {
  int64_t batch = 0, length = 0;
  std::vector<int32_t> tokens;
};
TokenMatrix read_tokens(const std::filesystem::path& file, int64_t vocabulary);

/// One tensor a state of the model, by its name ("ssm.0", "conv.0"), [batch, …] or [1, …], which is
/// then every sequence's. Everything that is missing, unexpected or mis-shaped is reported
/// together.
model::RecurrentState read_states(const std::filesystem::path& file,
                                  const model::LanguageModel& model, int64_t batch);

/// Tensors to be written, with what holds their memory.
class OutputTensors {
 public:
  /// The tensor must outlive the writing.
  void add(const std::string& name, const core::TensorView& view);
  void add_states(const std::string& prefix, const model::LanguageModel& model,
                  const model::RecurrentState& states);
  void write(const std::filesystem::path& file) const;

 private:
  std::vector<model::TensorToStore> tensors_;
};

}  // namespace longhaul::launch
