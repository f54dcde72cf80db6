#include "model/checkpoint/parameter_matching.h"

#include <map>
#include <utility>

#include "kernels/core/error.h"
#include "model/checkpoint/element_conversion.h"
#include "model/checkpoint/json_reading.h"
#include "model/checkpoint/safetensors_header.h"
#include "model/checkpoint/tensor_names.h"

namespace longhaul::model {

namespace {

using core::message;

/// What is wrong with a stored tensor for a parameter, or "".
std::string mismatch(const TensorStream& tensor, const Parameter& parameter) {
  if (!(tensor.shape == parameter.shape)) {
    return message(tensor.origin, ": is ", tensor.shape, ", expected ", parameter.shape);
  }
  if (!can_read(tensor.type, core::DType::kF32)) {
    return message(tensor.origin, ": is ", name_of(tensor.type), ", expected a floating type");
  }
  return "";
}

}  // namespace

std::vector<TensorStream> match_parameters(const std::string& where,
                                           const std::vector<TensorStream>& tensors,
                                           const std::vector<Parameter>& parameters, bool tied,
                                           bool head_is_shared) {
  std::vector<std::string> problems;
  std::map<std::string, const TensorStream*> by_name;
  for (const TensorStream& tensor : tensors) {
    if (!by_name.emplace(canonical_name(tensor.name), &tensor).second) {
      problems.push_back(message(tensor.origin, ": is there twice"));
    }
  }
  std::map<std::string, const Parameter*> wanted;
  for (const Parameter& parameter : parameters) {
    wanted[parameter.name] = &parameter;
    if (!by_name.contains(parameter.name)) {
      problems.push_back(message(where, ": tensor ", in_quotes(parameter.name), " ",
                                 parameter.shape, ": missing"));
    }
  }
  for (const auto& [name, tensor] : by_name) {
    const auto found = wanted.find(tied && name == kHead ? kEmbedding : name);
    std::string wrong = found == wanted.end()
                            ? message(tensor->origin, " ", tensor->shape, ": unexpected")
                            : mismatch(*tensor, *found->second);
    if (!wrong.empty()) problems.push_back(std::move(wrong));
  }
  if (!problems.empty()) throw core::InputError(problems);
  const auto head = by_name.find(kHead);
  if (tied && head != by_name.end() && !head_is_shared) {
    const TensorStream& embedding = *by_name.at(kEmbedding);
    if (!same_values(*head->second, embedding)) {
      throw core::InputError(message(head->second->origin, ": differs from ",
                                     in_quotes(embedding.name),
                                     " though the embeddings are tied (tie_word_embeddings)"));
    }
  }
  std::vector<TensorStream> matched;
  for (const Parameter& parameter : parameters) {
    matched.push_back(*by_name.at(parameter.name));
    matched.back().name = parameter.name;
  }
  return matched;
}

}  // namespace longhaul::model
