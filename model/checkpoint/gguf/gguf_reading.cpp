#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "kernels/core/error.h"
#include "model/architecture.h"
#include "model/checkpoint/gguf/gguf_model.h"
#include "model/checkpoint/gguf/gguf_names.h"
#include "model/checkpoint/json_reading.h"

namespace longhaul::model {

namespace {

using core::message;

TensorStream logarithm(const TensorStream& decays) {
  TensorStream result = decays;
  result.read = [decays](int64_t begin, int64_t count, void* target) {
    decays.read(begin, count, target);
    auto* values = static_cast<float*>(target);
    for (int64_t i = 0; i < count; ++i) {
      const float logarithm = log_of_decay(values[i]);
      if (std::isnan(logarithm)) {
        throw core::InputError(message(decays.origin, ": element ", begin + i, " is ", values[i],
                                       ", expected a negative number"));
      }
      values[i] = logarithm;
    }
  };
  return result;
}

}  // namespace

float log_of_decay(float decay) {
  if (!(decay < 0) || std::isinf(decay)) return std::numeric_limits<float>::quiet_NaN();
  const auto decay_of = [](float a_log) {
    return -static_cast<float>(std::exp(static_cast<double>(a_log)));
  };
  const auto nearest = static_cast<float>(std::log(-static_cast<double>(decay)));
  float below = nearest, above = nearest;
  constexpr int kSteps = 4;  // rounding is at most one step away
  for (int i = 0; i < kSteps; ++i) {
    if (decay_of(below) == decay) return below;
    if (decay_of(above) == decay) return above;
    below = std::nextafter(below, -std::numeric_limits<float>::infinity());
    above = std::nextafter(above, std::numeric_limits<float>::infinity());
  }
  return nearest;
}

StoredModel open_gguf_model(const std::filesystem::path& path) {
  auto file = std::make_unique<GgufFile>(path);
  StoredModel model{.format = ModelFormat::kGguf,
                    .config = read_gguf_config(file->header(), path.string())};
  std::map<std::string, const TensorStream*> tensors;
  for (const TensorStream& tensor : file->tensors()) tensors[tensor.name] = &tensor;
  std::vector<std::string> problems;
  for (const Parameter& parameter : parameters_of(model.config)) {
    const GgufPlace place = gguf_place(parameter, model.config);
    const auto found = tensors.find(place.name);
    if (found == tensors.end()) {
      problems.push_back(message(path.string(), ": tensor ", in_quotes(place.name), " ",
                                 place.shape, ": missing"));
      continue;
    }
    TensorStream tensor = *found->second;
    if (!(tensor.shape == place.shape)) {
      problems.push_back(message(tensor.origin, ": is ", tensor.shape, ", expected ", place.shape));
    } else if (parameter.name.ends_with(".A_log")) {
      tensor = logarithm(converted(tensor, StoredType::kF32));
    }
    tensor.name = parameter.name;
    tensor.shape = parameter.shape;
    model.tensors.push_back(std::move(tensor));
    tensors.erase(found);
  }
  for (const auto& [name, tensor] : tensors) {
    problems.push_back(message(tensor->origin, " ", tensor->shape, ": unexpected"));
  }
  if (!problems.empty()) throw core::InputError(problems);
  model.file = std::move(file);
  return model;
}

}  // namespace longhaul::model
