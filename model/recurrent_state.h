// The recurrent state of a model as a value: what h₀ is made of, what a sequence leaves behind.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/core/context.h"
#include "kernels/core/tensor.h"

namespace longhaul::model {

/// kRecurrent: the memory itself (SSM state). kConv: the last rows before a convolution.
enum class StateKind : uint8_t { kRecurrent, kConv };

/// One state tensor of a model: its name ("ssm.0", "conv.0"), its shape for one sequence, and how
/// many groups its first extent makes for fitted noise (heads; of a Mamba-1, channels; conv: 1) and
/// for statistics (heads; a Mamba-1 has none: 1; conv: 1). decays: into how many equal parts, in
/// order, its elements fall that decay alike (heads; of a Mamba-1, every element; conv: 0).
struct StateSpec {
  std::string name;
  core::Shape shape;
  StateKind kind = StateKind::kRecurrent;
  int64_t layer = 0;
  int64_t groups = 1;
  int64_t heads = 1;
  int64_t decays = 0;
};

/// Elements of the largest state: what one exchange between ranks passes on, a sequence.
int64_t largest_state(const std::vector<StateSpec>& specs);

/// One tensor per spec, [batch, shape…], in the state dtype. Move-only.
class RecurrentState {
 public:
  RecurrentState() = default;
  RecurrentState(core::Context& context, const std::vector<StateSpec>& specs, core::DType dtype,
                 int64_t batch);  ///< zeros
  RecurrentState clone(core::Context& context) const;

  bool empty() const { return tensors_.empty(); }
  int64_t batch() const { return tensors_.empty() ? 0 : tensors_.front().extent(0); }
  size_t size() const { return tensors_.size(); }
  const core::Tensor& operator[](size_t i) const { return tensors_[i]; }
  auto begin() const { return tensors_.begin(); }
  auto end() const { return tensors_.end(); }
  int64_t bytes() const;

  void set_zero(core::Context& context);
  /// Zeroes the sequences b with which[b], one for each / what belongs to one kind.
  void zero_sequences(core::Context& context, const std::vector<uint8_t>& which);
  void zero_kind(core::Context& context, const std::vector<StateSpec>& specs, StateKind kind);
  /// The state of sequence b becomes that of sequence from[b] of `source`, another state (nullptr:
  /// no sequence asks for one), or zero, or stays (kernels::StateGather). `from`: one for each
  /// sequence.
  void gather(core::Context& context, const std::vector<int32_t>& from,
              const RecurrentState* source = nullptr);

 private:
  std::vector<core::Tensor> tensors_;
};

}  // namespace longhaul::model
