#include "bench/support/shapes.h"

#include <algorithm>

namespace longhaul::bench {

namespace {

/// A released model: 64 channels a head, expansion 2, state 128, one group.
Shape released(int64_t width, int64_t layers) {
  return {{.vocabulary = 50288,
           .width = width,
           .layers = layers,
           .heads = width / 32,
           .head_dim = 64,
           .state_dim = 128,
           .chunk = 128},
          2048,
          2};
}

/// A released Mamba-1: expansion 2, state 16.
Shape released_mamba1(int64_t width, int64_t layers) {
  return {{.architecture = model::Architecture::kMamba1,
           .vocabulary = 50280,
           .width = width,
           .layers = layers,
           .heads = 2 * width,
           .head_dim = 1,
           .state_dim = 16},
          2048,
          2};
}

Shape small(int64_t vocabulary, int64_t width, int64_t heads, int64_t state) {
  return {{.vocabulary = vocabulary,
           .width = width,
           .layers = 2,
           .heads = heads,
           .head_dim = 64,
           .state_dim = state,
           .chunk = 64},
          64,
          64};
}

}  // namespace

const std::map<std::string, Shape>& shapes() {
  static const std::map<std::string, Shape> all{
      {"recall", small(224, 64, 2, 64)},          {"text", small(257, 128, 4, 128)},
      {"mamba2-130m", released(768, 24)},         {"mamba2-370m", released(1024, 48)},
      {"mamba2-780m", released(1536, 48)},        {"mamba2-1.3b", released(2048, 48)},
      {"mamba2-2.7b", released(2560, 64)},        {"mamba1-130m", released_mamba1(768, 24)},
      {"mamba1-370m", released_mamba1(1024, 48)}, {"mamba1-790m", released_mamba1(1536, 48)},
      {"mamba1-1.4b", released_mamba1(2048, 48)}, {"mamba1-2.8b", released_mamba1(2560, 64)},
  };
  return all;
}

SsdWork ssd_work(const model::ModelConfig& config, int64_t batch, int64_t length) {
  const double Q = static_cast<double>(std::min(config.chunk, length)),
               tokens = static_cast<double>(batch * length);
  const double PH = static_cast<double>(config.inner()), N = static_cast<double>(config.state_dim);
  const double state = 2 * PH * N, intra = Q * PH,
               gram = Q * N * static_cast<double>(config.groups);
  return {.forward = tokens * (2 * state + intra + gram),
          .backward = tokens * (4 * state + 2 * intra + 2 * gram)};
}

}  // namespace longhaul::bench
