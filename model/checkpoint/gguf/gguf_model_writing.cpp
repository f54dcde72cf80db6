#include <algorithm>
#include <cmath>
#include <utility>

#include "kernels/core/error.h"
#include "model/architecture.h"
#include "model/checkpoint/gguf/gguf_model.h"
#include "model/checkpoint/gguf/gguf_names.h"
#include "model/checkpoint/gguf/q8_0.h"
#include "model/checkpoint/json_reading.h"

namespace longhaul::model {

namespace {

using core::message;

void check_expressible(const ModelConfig& config, const GgufOptions& options) {
  std::vector<std::string> problems;
  const char* model = config.is_mamba1() ? "Mamba" : "Mamba-2";
  const auto refuse = [&](const auto&... parts) {
    problems.push_back(message("GGUF: llama.cpp's ", model, " ", parts...));
  };
  if (config.inner() != 2 * config.width) {
    refuse("has an inner width of twice the width, ", 2 * config.width, ", the model's is ",
           config.inner());
  }
  if (config.linear_bias) refuse("has no biases on the projections, the model has");
  if (config.mlp_width > 0) refuse("has no MLP, the model has one of width ", config.mlp_width);
  if (config.dt_low > 0 || !std::isinf(config.dt_high)) {
    refuse("does not clamp the step size, the model does, to ", config.dt_low, " to ",
           config.dt_high);
  }
  if (options.type == GgufTensorType::kQ8 && config.width % kQ8Elements != 0) {
    refuse("can have Q8_0 rows of multiples of ", kQ8Elements, " elements only, the model's have ",
           config.width);
  }
  if (!problems.empty()) throw core::InputError(problems);
}

/// As llama.cpp numbers the kinds of files.
int64_t file_type(GgufTensorType type) {
  switch (type) {
    case GgufTensorType::kF32:
      return 0;
    case GgufTensorType::kF16:
      return 1;
    case GgufTensorType::kQ8:
      return 7;
    case GgufTensorType::kBF16:
      return 32;
  }
  return 0;
}

GgufKeys keys_of(const ModelConfig& config, const GgufOptions& options) {
  const std::string architecture = gguf_architecture(config.architecture);
  GgufKeys keys;
  keys.string("general.architecture", architecture);
  keys.string("general.type", "model");
  keys.string("general.name", options.name);
  keys.u32("general.file_type", file_type(options.type));
  if (options.type == GgufTensorType::kQ8) keys.u32("general.quantization_version", 2);
  const std::string prefix = architecture + ".";
  keys.u32(prefix + "vocab_size", config.vocabulary);
  keys.u32(prefix + "context_length", int64_t{1} << 20);  // there is no limit; llama.cpp wants one
  keys.u32(prefix + "embedding_length", config.width);
  keys.u32(prefix + "feed_forward_length", 0);
  keys.u32(prefix + "attention.head_count", 0);
  keys.u32(prefix + "block_count", config.layers);
  keys.u32(prefix + "ssm.conv_kernel", config.conv_width);
  keys.u32(prefix + "ssm.inner_size", config.inner());
  keys.u32(prefix + "ssm.state_size", config.state_dim);
  if (config.is_mamba1()) {
    keys.u32(prefix + "ssm.time_step_rank", config.time_step_rank());
    keys.boolean(prefix + "ssm.dt_b_c_rms", false);
  } else {
    keys.u32(prefix + "ssm.time_step_rank", config.heads);
    keys.u32(prefix + "ssm.group_count", config.groups);
  }
  keys.f32(prefix + "attention.layer_norm_rms_epsilon", config.norm_epsilon);
  append_tokenizer(options.tokenizer, keys);
  return keys;
}

/// Rows of Mamba-1's ssm_dt.weight are often no whole blocks of Q8_0.
GgufTensorType type_of(const GgufPlace& place, GgufTensorType wanted) {
  if (!place.is_matrix) return GgufTensorType::kF32;
  const bool fits =
      wanted != GgufTensorType::kQ8 || place.shape[place.shape.rank() - 1] % kQ8Elements == 0;
  return fits ? wanted : GgufTensorType::kF32;
}

/// −exp(A_log), rounded once.
TensorStream decays(const TensorStream& a_log) {
  TensorStream result = converted(a_log, StoredType::kF64);
  const TensorStream wide = result;
  result.type = StoredType::kF32;
  result.read = [wide](int64_t begin, int64_t count, void* target) {
    std::vector<double> values(static_cast<size_t>(count));
    wide.read(begin, count, values.data());
    std::transform(values.begin(), values.end(), static_cast<float*>(target),
                   [](double value) { return -static_cast<float>(std::exp(value)); });
  };
  return result;
}

TensorStream zeros(const std::string& name, const core::Shape& shape) {
  TensorStream result{.name = name, .shape = shape, .type = StoredType::kF32, .origin = name};
  result.read = [](int64_t, int64_t count, void* target) {
    std::fill_n(static_cast<float*>(target), count, 0.0f);
  };
  return result;
}

}  // namespace

void write_gguf_model(const ModelConfig& config, const std::vector<TensorStream>& tensors,
                      const std::filesystem::path& path, const GgufOptions& options) {
  check_expressible(config, options);
  std::vector<GgufTensorToStore> stored;
  const auto parameters = parameters_of(config);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const GgufPlace place = gguf_place(parameters[i], config);
    TensorStream tensor = tensors[i];
    if (parameters[i].name.ends_with(".A_log")) tensor = decays(tensor);
    tensor.name = place.name;
    tensor.shape = place.shape;
    stored.push_back({std::move(tensor), type_of(place, options.type)});
    if (!config.conv_bias && place.name.ends_with("ssm_conv1d.weight")) {
      // llama.cpp wants the bias; zeros are the same model.
      const std::string stem = place.name.substr(0, place.name.rfind('.'));
      stored.push_back({zeros(stem + ".bias", {config.conv_channels()}), GgufTensorType::kF32});
    }
  }
  write_gguf_file(path, keys_of(config, options), stored, options.progress);
}

}  // namespace longhaul::model
