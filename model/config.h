// Shapes of a recurrent language model.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/dtype.h"
#include "kernels/core/fields.h"

namespace longhaul::model {

/// mamba2: Dao & Gu, "Transformers are SSMs", 2024. mamba1: Gu & Dao, "Mamba", 2023 ("mamba" in
/// other programs).
enum class Architecture { kMamba2, kMamba1 };
inline const std::vector<std::string_view>& enum_names(Architecture) {
  static const std::vector<std::string_view> names{"mamba2", "mamba1"};
  return names;
}

/// Names follow transformers' Mamba2Config where it has one; inner width E = heads · head_dim,
/// which is all that a Mamba-1 takes of the two: each of its channels has a time step and decays of
/// its own.
struct ModelConfig {
  Architecture architecture = Architecture::kMamba2;
  int64_t vocabulary = 257;
  int64_t width = 64;  ///< D, hidden_size
  int64_t layers = 2;
  int64_t heads = 2;
  int64_t head_dim = 64;
  int64_t state_dim = 64;  ///< N
  int64_t groups = 1;
  int64_t dt_rank = 0;     ///< R, of Mamba-1's projection to time steps; 0: ⌈width / 16⌉
  int64_t conv_width = 4;  ///< K
  int64_t chunk = 64;      ///< Q; a matter of speed, not of results (kernels::ssd_best_chunk)
  int64_t mlp_width = 0;   ///< 0: no MLP
  bool tied = true;        ///< output head shares the embedding
  bool linear_bias = false;
  bool conv_bias = true;
  bool residual_in_fp32 = true;  ///< the residual stream of a bf16 model
  double norm_epsilon = 1e-5;
  double dt_low = 0, dt_high = std::numeric_limits<double>::infinity();  ///< clamp of the step size
  double dt_min = 1e-3, dt_max = 0.1, dt_floor = 1e-4;  ///< initialisation of dt_bias
  double a_low = 1,
         a_high = 16;  ///< initialisation of A: between; mamba1: evenly from to, by state

  int64_t inner() const { return heads * head_dim; }
  bool is_mamba1() const { return architecture == Architecture::kMamba1; }
  int64_t conv_channels() const { return is_mamba1() ? inner() : inner() + 2 * groups * state_dim; }
  int64_t in_projection() const { return inner() + conv_channels() + (is_mamba1() ? 0 : heads); }
  /// Of a layer's recurrent state: a number for each part of it that decays alike.
  int64_t log_decays() const { return is_mamba1() ? inner() * state_dim : heads; }
  /// Of Mamba-1.
  int64_t time_step_rank() const { return dt_rank > 0 ? dt_rank : (width + 15) / 16; }
  /// Of the residual stream, in a model that computes in `dtype`.
  core::DType residual_dtype(core::DType dtype) const {
    return residual_in_fp32 ? core::state_dtype(dtype) : dtype;
  }

  template <class V>
  void visit(V& v) {
    v.field("architecture", architecture, "mamba2 | mamba1");
    v.field("vocabulary", vocabulary, "rows of the embedding; 0: as the data needs",
            core::AtLeast{0});
    v.field("width", width, "model width", core::AtLeast{1});
    v.field("layers", layers, "number of blocks", core::AtLeast{1});
    v.field("heads", heads, "heads of a block; inner width is heads × head_dim (all of a mamba1)",
            core::AtLeast{1});
    v.field("head_dim", head_dim, "channels of a head", core::AtLeast{1});
    v.field("state_dim", state_dim, "state size of a channel", core::AtLeast{1});
    v.field("groups", groups, "groups of heads that share B and C; mamba1: 1", core::AtLeast{1});
    v.field("dt_rank", dt_rank,
            "mamba1: rank of the projection to time steps; 0: width / 16, rounded up",
            core::AtLeast{0});
    v.field("conv_width", conv_width, "taps of the causal convolution", core::Within{1, 8});
    v.field("chunk", chunk,
            "mamba2: tokens of an SSD chunk; a matter of speed (a GPU may take 128)",
            core::Within{1, 1024});
    v.field("mlp_width", mlp_width, "inner width of the gated MLP after each mixer; 0: none",
            core::AtLeast{0});
    v.field("tied", tied, "output head shares the embedding");
    v.field("linear_bias", linear_bias, "biases on the projections");
    v.field("conv_bias", conv_bias, "bias on the convolution");
    v.field("residual_in_fp32", residual_in_fp32, "in bf16, keep the residual stream in fp32");
    v.field("norm_epsilon", norm_epsilon, "epsilon of the norms", core::Above{0});
    v.field("dt_low", dt_low, "lower clamp of the step size", core::AtLeast{0});
    v.field("dt_high", dt_high, "upper clamp of the step size", core::Above{0});
    v.field("dt_min", dt_min, "initialisation: smallest step size", core::Above{0});
    v.field("dt_max", dt_max, "initialisation: largest step size", core::Above{0});
    v.field("dt_floor", dt_floor, "initialisation: floor of the step size", core::Above{0});
    v.field("a_low", a_low,
            "initialisation: smallest decay rate (mamba1: of a channel's first state)",
            core::Above{0});
    v.field("a_high", a_high,
            "initialisation: largest decay rate (mamba1: of its last; S4D-real: state_dim)",
            core::Above{0});
  }
  /// Puts what can be said in several ways as checkpoints say it: a Mamba-1 has heads of one
  /// channel and a rank. For a valid config.
  void settle();
  /// Rules across fields.
  void validate(const std::string& key, core::Problems& problems) const;
};

}  // namespace longhaul::model
