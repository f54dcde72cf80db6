#include <array>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "kernels/core/error.h"
#include "model/checkpoint/config_rules.h"
#include "model/checkpoint/gguf/gguf_model.h"
#include "model/checkpoint/json_reading.h"

namespace longhaul::model {

namespace {

using core::message;

/// The keys of a header as a configuration's, with what is wrong.
class KeyReader {
 public:
  KeyReader(const GgufHeader& header, const std::string& name) : header_(header), name_(name) {}

  int64_t natural(const std::string& key) {
    const GgufValue* value = find(key);
    constexpr int64_t kMost = int64_t{1} << 40;
    if (value == nullptr) return 1;
    const bool is_integer =
        value->type != GgufValueType::kString && value->type != GgufValueType::kArray &&
        value->type != GgufValueType::kF32 && value->type != GgufValueType::kF64;
    if (is_integer && value->integer >= 1 && value->integer <= kMost) return value->integer;
    problem(key, message("expected a whole number from 1 on, is ", value->shown()));
    return 1;
  }

  double number(const std::string& key) {
    const GgufValue* value = find(key);
    if (value == nullptr) return 1;
    // As somebody wrote it before it became fp32: 1e-05 and not 9.99999974e-06.
    if (value->type == GgufValueType::kF32) return shortest(static_cast<float>(value->number));
    problem(key, message("expected a number of 32 bits, is ", value->shown()));
    return 1;
  }

  /// False where it is missing.
  bool truth(const std::string& key) {
    const auto found = header_.values.find(key);
    if (found == header_.values.end()) return false;
    if (found->second.type == GgufValueType::kBool) return found->second.integer != 0;
    problem(key, message("expected true or false, is ", found->second.shown()));
    return false;
  }

  void problem(const std::string& key, const std::string& what) {
    problems_.push_back(message(name_, ": key ", in_quotes(key), ": ", what));
  }
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  const GgufValue* find(const std::string& key) {
    const auto found = header_.values.find(key);
    if (found != header_.values.end()) return &found->second;
    problem(key, "missing");
    return nullptr;
  }

  static double shortest(float value) {
    std::array<char, 40> text{};
    for (int digits = 1; digits < 10; ++digits) {
      std::snprintf(text.data(), text.size(), "%.*g", digits, static_cast<double>(value));
      if (std::strtof(text.data(), nullptr) == value) break;
    }
    return std::strtod(text.data(), nullptr);
  }

  const GgufHeader& header_;
  const std::string& name_;
  std::vector<std::string> problems_;
};

const GgufTensor* find_tensor(const GgufHeader& header, const std::string& name) {
  for (const GgufTensor& tensor : header.tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

Architecture read_architecture(const GgufHeader& header, const std::string& name) {
  const auto found = header.values.find("general.architecture");
  const std::string_view said =
      found == header.values.end() ? std::string_view() : found->second.text;
  for (const auto architecture : {Architecture::kMamba2, Architecture::kMamba1}) {
    if (said == gguf_architecture(architecture)) return architecture;
  }
  throw core::InputError(
      message(name, ": key \"general.architecture\": expected \"mamba2\" or \"mamba\", is ",
              said.empty() ? "missing" : in_quotes(said)));
}

void read_mamba1(KeyReader& keys, const std::string& prefix, ModelConfig& config) {
  config.head_dim = 1;
  config.heads = keys.natural(prefix + "ssm.inner_size");
  config.dt_rank = keys.natural(prefix + "ssm.time_step_rank");
  const std::string norms = prefix + "ssm.dt_b_c_rms";
  if (keys.truth(norms)) {
    keys.problem(norms,
                 "is true (falcon_mamba, which norms B, C and the time step): not supported");
  }
}

/// llama.cpp's rank is the number of heads.
void read_mamba2(KeyReader& keys, const std::string& prefix, ModelConfig& config) {
  config.heads = keys.natural(prefix + "ssm.time_step_rank");
  config.groups = keys.natural(prefix + "ssm.group_count");
  const int64_t inner = keys.natural(prefix + "ssm.inner_size");
  if (inner % config.heads != 0) {
    keys.problem(prefix + "ssm.inner_size", message("is ", inner, ", no multiple of the ",
                                                    config.heads, " heads (ssm.time_step_rank)"));
  }
  config.head_dim = inner / config.heads;
  config.chunk = 256;
}

}  // namespace

const char* gguf_architecture(Architecture architecture) {
  return architecture == Architecture::kMamba1 ? "mamba" : "mamba2";
}

ModelConfig read_gguf_config(const GgufHeader& header, const std::string& name) {
  ModelConfig config;
  config.architecture = read_architecture(header, name);
  KeyReader keys(header, name);
  const std::string prefix = message(gguf_architecture(config.architecture), ".");
  config.width = keys.natural(prefix + "embedding_length");
  config.layers = keys.natural(prefix + "block_count");
  config.conv_width = keys.natural(prefix + "ssm.conv_kernel");
  config.state_dim = keys.natural(prefix + "ssm.state_size");
  config.norm_epsilon = keys.number(prefix + "attention.layer_norm_rms_epsilon");
  if (config.is_mamba1()) {
    read_mamba1(keys, prefix, config);
  } else {
    read_mamba2(keys, prefix, config);
  }
  const GgufTensor* embedding = find_tensor(header, "token_embd.weight");
  if (embedding == nullptr || embedding->shape.rank() != 2) {
    throw core::InputError(message(name, ": tensor \"token_embd.weight\": ",
                                   embedding == nullptr ? "missing" : "is no matrix"));
  }
  config.vocabulary = embedding->shape[0];
  config.tied = find_tensor(header, "output.weight") == nullptr;
  core::Problems problems = keys.problems();
  if (problems.empty()) config.validate(name, problems);
  if (!problems.empty()) throw core::InputError(problems);
  config.settle();
  return config;
}

}  // namespace longhaul::model
