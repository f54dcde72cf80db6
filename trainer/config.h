// The parts of a run's configuration that the trainer owns. launch composes them into a RunConfig.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/fields.h"

namespace longhaul::trainer {

enum class SourceKind { kZero, kNoise, kFittedNoise, kStatePassing, kTbtt };
inline const std::vector<std::string_view>& enum_names(SourceKind) {
  static const std::vector<std::string_view> names{"zero", "noise", "fitted_noise", "state_passing",
                                                   "tbtt"};
  return names;
}

/// Where h₀ comes from (Buitrago Ruiz & Gu 2025). Defaults are the paper's.
struct InitialStateConfig {
  SourceKind source = SourceKind::kZero;
  double zero_probability = 0.1;      ///< state_passing: chance that a sequence starts from zero
  double noise_zero_probability = 0;  ///< noise, fitted_noise: the same; the paper has none
  double deviation = 1.0;             ///< noise: standard deviation, one for all layers and heads
  double mean = 0.0;                  ///< noise
  double momentum = 0.01;  ///< fitted_noise: weight of a micro-step's moments in the running ones
  bool permute = true;     ///< state_passing: states go to other sequences, of all data ranks
  bool pass_conv = false;  ///< state_passing: conv state too (the paper: SSM only)
  bool tbtt_conv = true;   ///< tbtt: conv state too
  bool reset_at_documents = false;  ///< tbtt: lanes start from zero at a document's beginning

  template <class V>
  void visit(V& v) {
    v.field("source", source, "zero | noise | fitted_noise | state_passing | tbtt");
    v.field("zero_probability", zero_probability,
            "state_passing: chance that a sequence starts from zero all the same",
            core::Within{0, 1});
    v.field("noise_zero_probability", noise_zero_probability,
            "noise, fitted_noise: chance that a sequence starts from zero all the same",
            core::Within{0, 1});
    v.field("deviation", deviation, "noise: standard deviation", core::AtLeast{0});
    v.field("mean", mean, "noise: mean");
    v.field("momentum", momentum, "fitted_noise: weight of one micro-step in the running moments",
            core::Within{0, 1});
    v.field(
        "permute", permute,
        "state_passing: shuffle the states over the sequences of all data ranks; false: sequence "
        "r takes that of sequence r, and none is sent to another rank");
    v.field("pass_conv", pass_conv, "state_passing: pass the conv state too");
    v.field("tbtt_conv", tbtt_conv, "tbtt: carry the conv state too");
    v.field("reset_at_documents", reset_at_documents,
            "tbtt: start from zero at a document's beginning");
  }
};

struct OptimizerConfig {
  double rate = 1e-3;  ///< peak
  double beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8;
  double decay = 0.1;  ///< not applied to A_log, D, dt_bias, biases, norms
  double clip = 1.0;   ///< largest global gradient norm; 0: no clipping
  int64_t skips_in_row =
      10;  ///< steps with non-finite loss or gradients are skipped; so many in a row stop the run

  template <class V>
  void visit(V& v) {
    v.field("rate", rate, "peak learning rate", core::AtLeast{0});
    v.field("beta1", beta1, "first moment", core::Within{0, 0.999999});
    v.field("beta2", beta2, "second moment", core::Within{0, 0.9999999});
    v.field("epsilon", epsilon, "added to the root of the second moment", core::Above{0});
    v.field("decay", decay, "decoupled weight decay", core::AtLeast{0});
    v.field("clip", clip, "largest gradient norm; 0: no clipping", core::AtLeast{0});
    v.field("skips_in_row", skips_in_row, "non-finite steps in a row that stop the run",
            core::AtLeast{1});
  }
};

enum class ScheduleKind { kConstant, kCosine, kWsd };
inline const std::vector<std::string_view>& enum_names(ScheduleKind) {
  static const std::vector<std::string_view> names{"constant", "cosine", "wsd"};
  return names;
}

/// Learning rate over steps: linear warm-up, then constant, cosine to `floor`, or
/// warm-up-stable-decay (linear decay over the last `decay_steps` to `floor`).
struct ScheduleConfig {
  ScheduleKind kind = ScheduleKind::kCosine;
  int64_t steps = 500;
  int64_t warmup = 50;
  int64_t decay_steps = 0;  ///< wsd; 0: a tenth of the steps
  double floor = 0.1;       ///< final rate as a share of the peak

  template <class V>
  void visit(V& v) {
    v.field("kind", kind, "constant | cosine | wsd");
    v.field("steps", steps, "optimizer steps of the run", core::AtLeast{1});
    v.field("warmup", warmup, "steps of linear warm-up", core::AtLeast{0});
    v.field("decay_steps", decay_steps, "wsd: steps of the final decay; 0: a tenth",
            core::AtLeast{0});
    v.field("floor", floor, "final rate as a share of the peak", core::Within{0, 1});
  }
};

struct BatchConfig {
  int64_t length = 128;      ///< tokens of a sequence (over all its sequence ranks)
  int64_t sequences = 8;     ///< per optimizer step, over all data ranks and accumulation steps
  int64_t accumulation = 1;  ///< micro-steps of an optimizer step
  int64_t segments =
      1;  ///< consecutive segments that a rank runs its sequence in, state carried, gradients cut
          ///< between them: sequences longer than memory allows in one go
  bool recompute = false;  ///< activation recomputation (model/retention.h)

  template <class V>
  void visit(V& v) {
    v.field("length", length, "tokens of a training sequence", core::Within{1, 1e11});
    v.field("sequences", sequences, "sequences of an optimizer step, over all ranks",
            core::Within{1, 1e6});
    v.field("accumulation", accumulation, "micro-steps of an optimizer step", core::AtLeast{1});
    v.field("segments", segments, "consecutive segments a sequence is run in on its rank",
            core::AtLeast{1});
    v.field(
        "recompute", recompute,
        "keep few activations, run blocks again in backward: less memory, up to a third more time");
  }
};

/// A number of an evaluation; all but the accuracy are good where they are small.
enum class Measure { kLoss, kPerplexity, kLossAtEnd, kAccuracy };
inline const std::vector<std::string_view>& enum_names(Measure) {
  static const std::vector<std::string_view> names{"loss", "perplexity", "loss_at_end", "accuracy"};
  return names;
}

struct CheckpointConfig {
  int64_t every = 0;              ///< steps; 0: only at the end and when interrupted
  int64_t keep = 2;               ///< newest training checkpoints kept
  int64_t keep_every = 0;         ///< those of steps that are multiples of it stay too; 0: none
  int64_t keep_best = 0;          ///< so many that were evaluated best stay too
  Measure best = Measure::kLoss;  ///< which number of the evaluation says so
  bool background = true;         ///< written from a copy while training goes on
  double shard_mib = 64;          ///< least size of a rank's file of weights

  template <class V>
  void visit(V& v) {
    v.field("every", every, "steps between training checkpoints; 0: at the end only",
            core::AtLeast{0});
    v.field("keep", keep, "newest training checkpoints that are kept", core::AtLeast{1});
    v.field("keep_every", keep_every,
            "checkpoints of steps that are multiples of it are kept too; 0: none",
            core::AtLeast{0});
    v.field("keep_best", keep_best, "checkpoints kept too because they were evaluated best",
            core::AtLeast{0});
    v.field("best", best,
            "loss | perplexity | loss_at_end | accuracy: of the evaluation at a checkpoint's step");
    v.field("background", background,
            "write from a copy in host memory while training goes on (this rank's share of "
            "parameters and moments, once more)");
    v.field("shard_mib", shard_mib,
            "weights are written by as many ranks as have so much to write, each its file",
            core::Within{1e-6, 1e6});
  }
};

}  // namespace longhaul::trainer
