// `longhaul forward` as outsiders use it: files in, files out.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "kernels/core/random.h"
#include "model/checkpoint/safetensors.h"
#include "tests/launch/program.h"

namespace longhaul::launch {
namespace {

using core::DType;
using core::Shape;
using Values = std::vector<double>;
using Tensors = std::map<std::string, std::pair<Shape, Values>>;

constexpr int64_t kBatch = 2, kLength = 22, kVocabulary = 16;

class Forward : public Program {
 protected:
  void SetUp() override {
    Program::SetUp();
    write("run.yaml", kRecall);
    ASSERT_EQ(run("train run.yaml").exit_code, 0);
  }

  static int32_t token_at(int64_t row, int64_t position) {
    const auto index = static_cast<uint64_t>(row * 1000 + position);
    return static_cast<int32_t>(core::uniform_below({.seed = 4}, index, kVocabulary));
  }

  void write_tokens(const std::string& name, int64_t begin, int64_t end) const {
    std::vector<int32_t> tokens;
    for (int64_t row = 0; row < kBatch; ++row) {
      for (int64_t i = begin; i < end; ++i) {
        tokens.push_back(token_at(row, i));
      }
    }
    const core::TensorView view(tokens.data(), DType::kI32, {kBatch, end - begin});
    model::write_safetensors(folder_ / name, {{"tokens", view, model::StoredType::kI32}});
  }

  void write_tensors(const std::string& name, Tensors tensors) const {
    std::vector<model::TensorToStore> stored;
    for (auto& [key, tensor] : tensors) {
      stored.push_back({key, core::TensorView(tensor.second.data(), DType::kF64, tensor.first),
                        model::StoredType::kF64});
    }
    model::write_safetensors(folder_ / name, stored);
  }

  Tensors read(const std::string& name) const {
    const model::SafetensorsFile file(folder_ / name);
    Tensors tensors;
    for (const auto& stored : file.tensors()) {
      auto& [shape, values] = tensors[stored.name];
      shape = stored.shape;
      values.resize(static_cast<size_t>(shape.elements()));
      file.read_as(stored, core::TensorView(values.data(), DType::kF64, shape));
    }
    return tensors;
  }

  Tensors forward(const std::string& options, const std::string& before = "") const {
    const Result result =
        run("forward --dtype fp64 --model run/model --out out.safetensors " + options, before);
    EXPECT_EQ(result.exit_code, 0) << options << "\n" << result.err;
    return read("out.safetensors");
  }

  /// Random states where the model has them.
  static Tensors random_states(uint64_t seed) {
    Tensors states{{"ssm.0", {{kBatch, 2, 8, 8}, {}}}, {"conv.0", {{kBatch, 3, 32}, {}}}};
    uint64_t index = 0;
    for (auto& [name, tensor] : states) {
      for (int64_t i = 0; i < tensor.first.elements(); ++i) {
        tensor.second.push_back(core::normal({.seed = seed}, index++));
      }
    }
    return states;
  }

  static double furthest(const Values& a, const Values& b) {
    if (a.size() != b.size()) return INFINITY;
    double worst = 0;
    for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
    return worst;
  }
};

TEST_F(Forward, NamesAndShapesAreTheContract) {
  write_tokens("tokens", 0, kLength + 1);
  const Tensors plain = forward("--tokens tokens");
  EXPECT_EQ(plain.size(), 3u);
  EXPECT_EQ(plain.at("logits").first, (Shape{kBatch, kLength + 1, kVocabulary}));
  const Tensors all = forward("--tokens tokens --grad");
  EXPECT_EQ(all.at("logits").first, (Shape{kBatch, kLength, kVocabulary}));
  EXPECT_EQ(all.at("loss").first, (Shape{1}));
  EXPECT_EQ(all.at("final.ssm.0").first, (Shape{kBatch, 2, 8, 8}));
  EXPECT_EQ(all.at("final.conv.0").first, (Shape{kBatch, 3, 32}));
  EXPECT_EQ(all.at("grad.initial.ssm.0").first, (Shape{kBatch, 2, 8, 8}));
  EXPECT_EQ(all.at("grad.initial.conv.0").first, (Shape{kBatch, 3, 32}));
  const model::SafetensorsFile weights(folder_ / "run/model/model.safetensors");
  for (const auto& weight : weights.tensors()) {
    ASSERT_EQ(all.count("grad." + weight.name), 1u) << weight.name;
    EXPECT_EQ(all.at("grad." + weight.name).first, weight.shape) << weight.name;
  }
}

// The loss is the mean cross-entropy of the logits that stand beside it.
TEST_F(Forward, LossIsThatOfTheLogits) {
  write_tokens("tokens", 0, kLength + 1);
  const Tensors out = forward("--tokens tokens --grad");
  const Values& logits = out.at("logits").second;
  double sum = 0;
  for (int64_t row = 0; row < kBatch; ++row) {
    for (int64_t i = 0; i < kLength; ++i) {
      const double* at = logits.data() + (row * kLength + i) * kVocabulary;
      double total = 0;
      for (int64_t v = 0; v < kVocabulary; ++v) total += std::exp(at[v]);
      const int64_t label = token_at(row, i + 1);
      sum += std::log(total) - at[label];
    }
  }
  EXPECT_NEAR(out.at("loss").second[0], sum / (kBatch * kLength), 1e-12);
}

TEST_F(Forward, TwoHalvesWithTheStateHandedOnAreTheWhole) {
  constexpr int64_t kCut = 9;
  write_tokens("whole", 0, kLength);
  write_tokens("first", 0, kCut);
  write_tokens("second", kCut, kLength);
  write_tensors("initial", random_states(1));
  const Tensors whole = forward("--tokens whole --initial-state initial");
  const Tensors first = forward("--tokens first --initial-state initial");
  write_tensors("between",
                {{"ssm.0", first.at("final.ssm.0")}, {"conv.0", first.at("final.conv.0")}});
  const Tensors second = forward("--tokens second --initial-state between");
  for (const char* state : {"final.ssm.0", "final.conv.0"}) {
    EXPECT_LT(furthest(second.at(state).second, whole.at(state).second), 1e-12) << state;
  }
  for (int64_t row = 0; row < kBatch; ++row) {
    const auto from = whole.at("logits").second.begin() + (row * kLength + kCut) * kVocabulary;
    const auto half = second.at("logits").second.begin() + row * (kLength - kCut) * kVocabulary;
    const int64_t count = (kLength - kCut) * kVocabulary;
    EXPECT_LT(furthest(Values(from, from + count), Values(half, half + count)), 1e-12);
  }
}

TEST_F(Forward, GradientOfTheInitialStateIsTheDifferenceQuotient) {
  constexpr double kStep = 1e-4;
  write_tokens("tokens", 0, kLength + 1);
  const Tensors at = random_states(1);
  write_tensors("initial", at);
  const Tensors out = forward("--tokens tokens --grad --initial-state initial");
  for (const char* name : {"ssm.0", "conv.0"}) {
    const Values direction = random_states(2).at(name).second;
    double losses[2], slope = 0;
    for (const int side : {0, 1}) {
      Tensors moved = at;
      Values& values = moved.at(name).second;
      for (size_t i = 0; i < values.size(); ++i)
        values[i] += (side == 0 ? kStep : -kStep) * direction[i];
      write_tensors("moved", moved);
      losses[side] = forward("--tokens tokens --grad --initial-state moved").at("loss").second[0];
    }
    const Values& gradient = out.at(std::string("grad.initial.") + name).second;
    for (size_t i = 0; i < gradient.size(); ++i) slope += gradient[i] * direction[i];
    EXPECT_NEAR((losses[0] - losses[1]) / (2 * kStep), slope, 1e-6 * std::abs(slope)) << name;
    EXPECT_GT(std::abs(slope), 1e-6) << name;
  }
}

TEST_F(Forward, ShardedOverTwoRanksIsTheSame) {
  write_tokens("tokens", 0, kLength);  // 21 tokens: segments of 11 and 10
  write_tensors("initial", random_states(3));
  const std::string options = "--tokens tokens --grad --initial-state initial";
  const Tensors one = forward(options);
  const Tensors two = forward(options + " --sequence-ranks 2",
                              std::string("bash '") + SOURCE_DIR + "/launch/mpirun.sh' 2");
  ASSERT_EQ(one.size(), two.size());
  for (const auto& [name, tensor] : one) {
    EXPECT_EQ(two.at(name).first, tensor.first) << name;
    EXPECT_LT(furthest(two.at(name).second, tensor.second), 1e-12) << name;
  }
}

TEST_F(Forward, BadFilesAreRefused) {
  const std::string base = "forward --model run/model --out o --tokens ";
  std::vector<int32_t> tokens{1, 2, 16, 3};
  const auto store = [&](const char* tensor, const Shape& shape) {
    model::write_safetensors(
        folder_ / "t",
        {{tensor, core::TensorView(tokens.data(), DType::kI32, shape), model::StoredType::kI32}});
  };
  store("tokens", {2, 2});
  expect_refused(base + "t", "found 16 at [1, 0], expected 0 to 15");
  store("tokens", {4});
  expect_refused(base + "t", "found I32 [4], expected I32 or I64 [batch, length]");
  write_tensors("t", {{"tokens", {{2, 2}, {0, 0, 0, 0}}}});
  expect_refused(base + "t", "found F64 [2, 2], expected I32 or I64 [batch, length]");
  store("token", {2, 2});
  expect_refused(base + "t", "tensor tokens: found none");
  tokens[2] = 0;
  store("tokens", {4, 1});
  expect_refused(base + "t --grad", "found length 1, expected at least 2");
  store("tokens", {2, 2});
  Tensors states = random_states(1);
  states["extra"] = {{1}, {0.0}};
  states.at("ssm.0").first = {kBatch, 2, 64};
  states.erase("conv.0");
  write_tensors("bad", states);
  expect_refused(base + "t --initial-state bad",
                 "ssm.0: found [2, 2, 64], expected F32 [2, 2, 8, 8]", 3);
}

}  // namespace
}  // namespace longhaul::launch
