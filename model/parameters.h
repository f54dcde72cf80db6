// All parameters of a model, in one flat buffer with one flat buffer of gradients: what the
// optimizer steps over, the reducer sums and a checkpoint stores.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::model {

/// `name` and `shape` are those of the Hugging Face layout (conv1d.weight is [channels, 1, K] there
/// and here).
struct Parameter {
  std::string name;
  core::Shape shape;
  bool decay = true;  ///< weight decay applies (not to A_log, D, dt_bias, biases, norms)
  int64_t begin = 0;  ///< first element in the flat buffers
  int64_t elements() const { return shape.elements(); }
  int64_t end() const { return begin + elements(); }
};

/// Elements of the flat buffers: every parameter begins at a multiple of 16, and they end at one.
int64_t flat_elements(const std::vector<Parameter>& parameters);

/// Values and gradients are in the state dtype (fp32, or fp64 for gradient checks); a model that
/// computes in bf16 reads its operands from a rounded copy. Order: embedding, blocks
/// from first to last, final norm, untied head; backward completes gradients from the end to the
/// start. Every parameter begins at a multiple of 16 elements and the flat buffers end at one; the
/// gaps hold zeros, in values and gradients alike. Both buffers start as zeros.
class ParameterSet {
 public:
  ParameterSet(core::Context& context, core::DType dtype, std::vector<Parameter> parameters);

  const std::vector<Parameter>& list() const { return parameters_; }
  int64_t count() const;                        ///< trainable elements, gaps not counted
  core::DType dtype() const { return dtype_; }  ///< that the model computes in
  core::Context& context() const { return context_; }
  core::TensorView values() const { return values_; }        ///< flat
  core::TensorView gradients() const { return gradients_; }  ///< flat
  core::TensorView value(const Parameter& parameter) const;  ///< in its shape
  core::TensorView gradient(const Parameter& parameter) const;
  /// The value as the ops read it, in dtype().
  core::TensorView operand(const Parameter& parameter) const;
  core::TensorView rounded() const { return rounded_; }  ///< flat copy in bf16, or absent
  /// To be called when values have been written other than by the optimizer.
  void update_rounded() const;
  /// Sets gradients [begin, end) of the flat buffer to zero, but not those of `stored`: parameters
  /// in the order of the buffer, nullptr: none.
  void clear_gradients(int64_t begin, int64_t end,
                       std::initializer_list<const Parameter*> stored) const;
  /// nullptr if there is none of that name.
  const Parameter* find(std::string_view name) const;

 private:
  core::Context& context_;
  core::DType dtype_;
  std::vector<Parameter> parameters_;
  std::map<std::string, size_t, std::less<>> index_;  // of each name in parameters_
  core::Tensor values_, gradients_, rounded_;
};

}  // namespace longhaul::model
