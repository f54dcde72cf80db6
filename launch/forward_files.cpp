#include "launch/forward_files.h"

#include <algorithm>

#include "kernels/core/error.h"
#include "model/checkpoint/safetensors_header.h"

namespace longhaul::launch {

using core::DType;
using core::InputError;
using core::message;

namespace {

bool is_float(model::StoredType type) {
  return type != model::StoredType::kI32 && type != model::StoredType::kI64;
}

}  // namespace

TokenMatrix read_tokens(const std::filesystem::path& path, int64_t vocabulary) {
  const model::SafetensorsFile file(path);
  const auto* stored = file.find("tokens");
  if (stored == nullptr || stored->shape.rank() != 2 || is_float(stored->type)) {
    const std::string found =
        stored == nullptr ? "none"
                          : message(model::name_of(stored->type), " ", stored->shape.to_string());
    throw InputError(message(path.string(), ": tensor tokens: found ", found,
                             ", expected I32 or I64 [batch, length]"));
  }
  TokenMatrix matrix{.batch = stored->shape[0], .length = stored->shape[1], .tokens = {}};
  if (matrix.batch < 1 || matrix.length < 1) {
    throw InputError(
        message(path.string(), ": tensor tokens: is empty: ", stored->shape.to_string()));
  }
  matrix.tokens.resize(static_cast<size_t>(stored->shape.elements()));
  file.read_as(*stored, core::TensorView(matrix.tokens.data(), DType::kI32, stored->shape));
  const auto bad = std::find_if(matrix.tokens.begin(), matrix.tokens.end(),
                                [&](int32_t token) { return token < 0 || token >= vocabulary; });
  if (bad != matrix.tokens.end()) {
    const int64_t index = bad - matrix.tokens.begin();
    throw InputError(message(path.string(), ": tensor tokens: found ", *bad, " at [",
                             index / matrix.length, ", ", index % matrix.length,
                             "], expected 0 to ", vocabulary - 1));
  }
  return matrix;
}

model::RecurrentState read_states(const std::filesystem::path& path,
                                  const model::LanguageModel& model, int64_t batch) {
  const model::SafetensorsFile file(path);
  const auto& specs = model.state_specs();
  core::Problems problems;
  for (const auto& spec : specs) {
    const core::Shape shape = spec.shape.with_front(batch);
    const auto* stored = file.find(spec.name);
    const bool fits =
        stored != nullptr && (stored->shape == shape || stored->shape == spec.shape.with_front(1));
    if (!fits || !is_float(stored->type)) {
      problems.push_back(message(path.string(), ": tensor ", spec.name, ": found ",
                                 stored == nullptr ? "none" : stored->shape.to_string(),
                                 ", expected F32 ", shape));
    }
  }
  for (const auto& stored : file.tensors()) {
    const auto same = [&](const model::StateSpec& spec) { return spec.name == stored.name; };
    if (std::none_of(specs.begin(), specs.end(), same)) {
      problems.push_back(
          message(path.string(), ": tensor ", stored.name, ": the model has no such state"));
    }
  }
  if (!problems.empty()) throw InputError(problems);
  model::RecurrentState states = model.make_state(batch);
  for (size_t i = 0; i < specs.size(); ++i) {
    const auto& stored = *file.find(specs[i].name);
    const bool is_one_for_all = stored.shape[0] == 1;
    for (int64_t row = 0; row < (is_one_for_all ? batch : 1); ++row) {
      file.read_as(stored, is_one_for_all ? states[i].view().slice(0, row, row + 1) : states[i]);
    }
  }
  return states;
}

void OutputTensors::add(const std::string& name, const core::TensorView& view) {
  tensors_.push_back(
      {name, view,
       view.dtype() == DType::kF64 ? model::StoredType::kF64 : model::StoredType::kF32});
}

void OutputTensors::add_states(const std::string& prefix, const model::LanguageModel& model,
                               const model::RecurrentState& states) {
  for (size_t i = 0; i < states.size(); ++i) {
    add(prefix + model.state_specs()[i].name, states[i]);
  }
}

void OutputTensors::write(const std::filesystem::path& file) const {
  model::write_safetensors(file, tensors_);
}

}  // namespace longhaul::launch
