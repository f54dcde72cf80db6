// A Mamba-1 from training to the formats of other programs and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/launch/conversion.h"

namespace longhaul::launch {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kRun =
    "model: {shape: {architecture: mamba1, vocabulary: 0, width: 16, layers: 1, heads: 32, "
    "head_dim: 1, state_dim: 4}}\n"
    "data: {kind: recall, length: 16, sequences: 4, recall: {keys: 12, values: 4, reach: 3}}\n"
    "initial_state: {source: state_passing}\n"
    "schedule: {steps: 3, warmup: 1}\nparallel: {threads: 1}\nrun: {folder: run}\n";

class Mamba1Conversion : public Conversion {
 protected:
  void SetUp() override {
    Conversion::SetUp();
    write("run.yaml", kRun);
    const Result result = run("train run.yaml");
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
};

TEST_F(Mamba1Conversion, GoesToEveryFormatAndBack) {
  const auto weights = weights_of("run/model");
  for (const char* format : {"hf", "state-spaces", "state-spaces-safetensors"}) {
    const std::string out = format;
    expect_done("export --model run --format " + out + " --tokenizer none --out " + out, "as F32");
    expect_done("import --from " + out + " --out back-" + out, "as F32");
    EXPECT_EQ(weights_of("back-" + out), weights) << format;
  }
  expect_done("export --model run --format gguf --tokenizer none --out m.gguf", "as F32");
  expect_done("import --from m.gguf --out from-gguf", "from the GGUF format");
  expect_done("export --model from-gguf --format gguf --tokenizer none --out n.gguf", "as F32");
  EXPECT_EQ(weights_of("m.gguf"), weights_of("from-gguf"));
  EXPECT_EQ(weights_of("n.gguf"), weights_of("m.gguf"));
  expect_done("export --model run --format gguf --dtype bfloat16 --tokenizer none --out b.gguf",
              "as BF16");
}

TEST_F(Mamba1Conversion, IsInspected) {
  expect_done("export --model run --format gguf --tokenizer none --out m.gguf", "as F32");
  EXPECT_THAT(run("inspect run/model").out,
              AllOf(HasSubstr("stored: F32, Hugging Face format"),
                    HasSubstr("architecture: mamba1\n"), HasSubstr("heads: 32\n")));
  EXPECT_THAT(run("inspect m.gguf").out, AllOf(HasSubstr("general.architecture: \"mamba\""),
                                               HasSubstr("blk.0.ssm_x.weight  F32 [9, 32]"),
                                               HasSubstr("blk.0.ssm_a  F32 [32, 4]")));
}

TEST_F(Mamba1Conversion, TheModelCardNamesIt) {
  expect_done("export --model run --tokenizer none --out hf --initial-state run", "hf: ");
  EXPECT_THAT(text_of(folder_ / "hf/README.md"),
              AllOf(HasSubstr("tags:\n- mamba\n- length-generalization"),
                    HasSubstr("| architecture | Mamba-1, 1 layers of width 16 |"),
                    HasSubstr("for token in input_ids.split(1, dim=1)"),
                    Not(HasSubstr("model(input_ids, cache"))));
}

TEST_F(Mamba1Conversion, TheModelCardTellsWhatElementsRemember) {
  const Result measured =
      run("eval states --model run/model --length 64 --sequences 2 --json "
          "run/evaluation/states.json");
  ASSERT_EQ(measured.exit_code, 0) << measured.err;
  const std::string memory =
      "memory of the elements of 1 layers, tokens until 1/e: shortest [0-9.e+-]+, median "
      "[0-9.e+-]+, longest [0-9.e+-]+; [0-9.e+-]+ % remember longer than the training length, 16\n";
  EXPECT_THAT(measured.out, ContainsRegex(memory));
  EXPECT_THAT(measured.out, Not(HasSubstr("head")));
  expect_done("export --model run --tokenizer none --out hf", "hf: ");
  EXPECT_THAT(text_of(folder_ / "hf/README.md"),
              ContainsRegex(" tokens; outlying layers at the end: 0 of 1; " + memory));
}

}  // namespace
}  // namespace longhaul::launch
