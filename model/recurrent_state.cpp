#include "model/recurrent_state.h"

#include <glog/logging.h>

#include <algorithm>

namespace longhaul::model {

int64_t largest_state(const std::vector<StateSpec>& specs) {
  int64_t largest = 0;
  for (const StateSpec& spec : specs) largest = std::max(largest, spec.shape.elements());
  return largest;
}

RecurrentState::RecurrentState(core::Context& context, const std::vector<StateSpec>& specs,
                               core::DType dtype, int64_t batch) {
  tensors_.reserve(specs.size());
  for (const StateSpec& spec : specs) {
    tensors_.push_back(
        core::Tensor::zeros(context, core::state_dtype(dtype), spec.shape.with_front(batch)));
  }
}

RecurrentState RecurrentState::clone(core::Context& context) const {
  RecurrentState copy;
  copy.tensors_.reserve(tensors_.size());
  for (const core::Tensor& tensor : tensors_) {
    copy.tensors_.push_back(core::Tensor::copy_of(context, tensor));
  }
  return copy;
}

int64_t RecurrentState::bytes() const {
  int64_t total = 0;
  for (const core::Tensor& tensor : tensors_) total += tensor.view().bytes();
  return total;
}

void RecurrentState::set_zero(core::Context& context) {
  for (const core::Tensor& tensor : tensors_) core::set_zero(context, tensor);
}

void RecurrentState::zero_sequence(core::Context& context, int64_t sequence) {
  for (const core::Tensor& tensor : tensors_) {
    core::set_zero(context, tensor.view().select(0, sequence));
  }
}

void RecurrentState::zero_kind(core::Context& context, const std::vector<StateSpec>& specs,
                               StateKind kind) {
  CHECK_EQ(specs.size(), tensors_.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].kind == kind) core::set_zero(context, tensors_[i]);
  }
}

void RecurrentState::copy_sequence(core::Context& context, int64_t sequence,
                                   const RecurrentState& source, int64_t source_sequence) {
  CHECK_EQ(source.size(), size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    core::copy(context, source.tensors_[i].view().select(0, source_sequence),
               tensors_[i].view().select(0, sequence));
  }
}

}  // namespace longhaul::model
