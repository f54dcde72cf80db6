// What the blocks of all architectures share. Private to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"
#include "model/block.h"
#include "model/parameters.h"

namespace longhaul::model {

inline constexpr size_t kSsm = 0, kConv = 1;  // order of a block's state_specs()

inline core::TensorView view_or_absent(const StateViews& views, size_t index) {
  return index < views.size() ? views[index] : core::TensorView{};
}

/// target = source, or zeros where it is absent.
void copy_or_zero(core::Context& context, const core::TensorView& source,
                  const core::TensorView& target);

/// Memory goes back to the pool as soon as backward has passed, for the layers below.
template <class... Tensors>
void release(Tensors&... tensors) {
  ((tensors = core::Tensor{}), ...);
}

/// A parameter's value and gradient; absent where the model has none.
struct BlockWeight {
  core::TensorView value, gradient;
  const Parameter* parameter = nullptr;

  /// Rows [begin, end).
  BlockWeight rows(int64_t begin, int64_t end) const;
};

/// The parameters of one layer, by what their names have after "backbone.layers.N.".
class BlockWeights {
 public:
  BlockWeights(ParameterSet& parameters, int64_t layer) : parameters_(parameters), layer_(layer) {}

  BlockWeight operator()(const std::string& name) const;
  /// In the state dtype, whatever the model computes in.
  BlockWeight exact(const std::string& name) const;
  /// Elements of the flat parameter buffer that are the layer's.
  int64_t begin() const;
  int64_t end() const;

 private:
  std::string prefix(int64_t layer) const;

  ParameterSet& parameters_;
  int64_t layer_;
};

}  // namespace longhaul::model
