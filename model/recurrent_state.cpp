#include "model/recurrent_state.h"

#include <glog/logging.h>

#include <algorithm>

#include "kernels/state/state_ops.h"

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

void RecurrentState::zero_kind(core::Context& context, const std::vector<StateSpec>& specs,
                               StateKind kind) {
  CHECK_EQ(specs.size(), tensors_.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].kind == kind) core::set_zero(context, tensors_[i]);
  }
}

void RecurrentState::zero_sequences(core::Context& context, const std::vector<uint8_t>& which) {
  std::vector<int32_t> from;
  for (const uint8_t is_zero : which) {
    from.push_back(is_zero ? kernels::StateGather::kZero : kernels::StateGather::kKeep);
  }
  gather(context, from);
}

void RecurrentState::gather(core::Context& context, const std::vector<int32_t>& from,
                            const RecurrentState* source) {
  using kernels::StateGather;
  if (source != nullptr) CHECK_EQ(source->size(), size());
  CHECK_EQ(static_cast<int64_t>(from.size()), batch());
  const int64_t rows = source != nullptr ? source->batch() : 0;
  for (const int32_t row : from) CHECK(row >= StateGather::kKeep && row < rows) << row;
  const auto stays = [](int32_t row) { return row == StateGather::kKeep; };
  if (std::all_of(from.begin(), from.end(), stays)) return;
  const core::Tensor on_device = core::Tensor::from(context, from, {batch()});
  for (size_t i = 0; i < tensors_.size(); ++i) {
    kernels::state_gather(context,
                          {.source = source ? source->tensors_[i].view() : core::TensorView{},
                           .from = on_device,
                           .target = tensors_[i]});
  }
}

}  // namespace longhaul::model
