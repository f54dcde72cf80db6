#include "model/parameters.h"

#include <glog/logging.h>

#include <utility>

#include "kernels/elementwise/convert.h"

namespace longhaul::model {

namespace {

constexpr int64_t kAlignment = 16;

int64_t aligned(int64_t element) { return (element + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

int64_t flat_elements(const std::vector<Parameter>& parameters) {
  int64_t next = 0;
  for (const Parameter& parameter : parameters) next = aligned(next + parameter.elements());
  return next;
}

ParameterSet::ParameterSet(core::Context& context, core::DType dtype,
                           std::vector<Parameter> parameters)
    : context_(context), dtype_(dtype), parameters_(std::move(parameters)) {
  int64_t next = 0;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    parameters_[i].begin = next;
    next = aligned(parameters_[i].end());
    const bool is_new = index_.emplace(parameters_[i].name, i).second;
    CHECK(is_new) << "two parameters are called " << parameters_[i].name;
  }
  CHECK_EQ(next, flat_elements(parameters_));
  values_ = core::Tensor::zeros(context, core::state_dtype(dtype), {next});
  gradients_ = core::Tensor::zeros(context, core::state_dtype(dtype), {next});
  if (dtype != values_.dtype()) rounded_ = core::Tensor::zeros(context, dtype, {next});
}

int64_t ParameterSet::count() const {
  int64_t total = 0;
  for (const Parameter& parameter : parameters_) total += parameter.elements();
  return total;
}

core::TensorView ParameterSet::value(const Parameter& parameter) const {
  return values_.view().slice(0, parameter.begin, parameter.end()).reshape(parameter.shape);
}

core::TensorView ParameterSet::gradient(const Parameter& parameter) const {
  return gradients_.view().slice(0, parameter.begin, parameter.end()).reshape(parameter.shape);
}

core::TensorView ParameterSet::operand(const Parameter& parameter) const {
  if (!rounded_) return value(parameter);
  return rounded_.view().slice(0, parameter.begin, parameter.end()).reshape(parameter.shape);
}

void ParameterSet::update_rounded() const {
  if (rounded_) kernels::convert(context_, values_, rounded_);
}

void ParameterSet::clear_gradients(int64_t begin, int64_t end,
                                   std::initializer_list<const Parameter*> stored) const {
  for (const Parameter* parameter : stored) {
    if (parameter == nullptr) continue;
    core::set_zero(context_, gradients_.view().slice(0, begin, parameter->begin));
    begin = parameter->end();
  }
  core::set_zero(context_, gradients_.view().slice(0, begin, end));
}

const Parameter* ParameterSet::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &parameters_[found->second];
}

}  // namespace longhaul::model
