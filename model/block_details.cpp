#include "model/block_details.h"

namespace longhaul::model {

void copy_or_zero(core::Context& context, const core::TensorView& source,
                  const core::TensorView& target) {
  if (source) {
    core::copy(context, source, target);
  } else {
    core::set_zero(context, target);
  }
}

BlockWeight BlockWeight::rows(int64_t begin, int64_t end) const {
  if (!value) return {};
  return {value.slice(0, begin, end), gradient.slice(0, begin, end), parameter};
}

std::string BlockWeights::prefix(int64_t layer) const {
  return "backbone.layers." + std::to_string(layer) + ".";
}

BlockWeight BlockWeights::operator()(const std::string& name) const {
  const Parameter* parameter = parameters_.find(prefix(layer_) + name);
  if (parameter == nullptr) return {};
  return {parameters_.operand(*parameter), parameters_.gradient(*parameter), parameter};
}

BlockWeight BlockWeights::exact(const std::string& name) const {
  BlockWeight result = (*this)(name);
  if (result.value) result.value = parameters_.value(*result.parameter);
  return result;
}

int64_t BlockWeights::begin() const {
  return parameters_.find(prefix(layer_) + "norm.weight")->begin;
}

int64_t BlockWeights::end() const {
  const Parameter* next = parameters_.find(prefix(layer_ + 1) + "norm.weight");
  return (next ? next : parameters_.find("backbone.norm_f.weight"))->begin;
}

}  // namespace longhaul::model
