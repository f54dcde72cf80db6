// A run of a moment on text, with an evaluation.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/launch/conversion.h"

namespace longhaul::launch {

class ModelOfARun : public Conversion {
 protected:
  void SetUp() override {
    Conversion::SetUp();
    std::string text;
    for (int i = 0; i < 400; ++i) text += "The quick brown fox. " + std::to_string(i);
    write("text.txt", text);
    ASSERT_EQ(run("tokenize --out tokens text.txt").exit_code, 0);
    const std::string rest =
        "data: {folder: tokens, length: 32, sequences: 4}\n"
        "initial_state: {source: state_passing}\n"
        "schedule: {steps: 3, warmup: 1}\nparallel: {threads: 1}\n";
    write("text.yaml",
          "model: {shape: {vocabulary: 264, width: 16, layers: 2, heads: 4, head_dim: 8, "
          "state_dim: 4, chunk: 8}}\nrun: {folder: theses/run}\n" +
              rest);
    write("next.yaml", rest);
    const Result trained = run("train text.yaml");
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    ASSERT_EQ(
        run("eval perplexity --model theses/run/model --data tokens --length 64 --sequences 2 "
            "--json theses/run/evaluation/text.json")
            .exit_code,
        0);
  }
  void write_tokens(std::vector<int32_t> tokens) const {
    const auto length = static_cast<int64_t>(tokens.size());
    model::write_safetensors(
        folder_ / "t.safetensors",
        {{"tokens", core::TensorView(tokens.data(), core::DType::kI32, {1, length}),
          model::StoredType::kI32}});
  }
};

}  // namespace longhaul::launch
