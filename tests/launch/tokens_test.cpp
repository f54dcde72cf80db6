// From text to tokens to a model and back to text, through the program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/launch/program.h"
#include "tests/launch/tokenizer_file.h"

namespace longhaul::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr const char* kTokens =
    "model: {shape: {vocabulary: 257, width: 16, layers: 1, heads: 2, head_dim: 8, state_dim: 8, "
    "chunk: 8}}\n"
    "data: {folder: train.bin, end_of_document: 256, length: 16, sequences: 2}\n"
    "schedule: {steps: 2, warmup: 1}\nparallel: {threads: 1}\nrun: {folder: run}\n";

class Tokens : public Program {
 protected:
  void succeed(const std::string& arguments, const std::string& expected) {
    const Result result = run(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr(expected)) << arguments;
  }
  /// Documents of u16 tokens as nanoGPT has them.
  void write_flat() {
    std::string bytes;
    for (int i = 0; i < 400; ++i) {
      const int token = i % 40 == 39 ? 256 : 65 + i % 26;
      bytes += static_cast<char>(token);
      bytes += static_cast<char>(token >> 8);
    }
    write("train.bin", bytes);
  }
};

TEST_F(Tokens, TextGoesThereAndBack) {
  write("tokenizer.json", tokenizer_json());
  write("a.txt", "naïve text\n");
  succeed("tokenize --tokenizer . --threads 2 --out tokens a.txt", "end of document: 256");
  succeed("inspect tokens", "vocabulary: 257");
  succeed("detokenize --tokenizer tokenizer.json tokens", "{\"text\":\"naïve text\\n\"}");
  expect_refused("detokenize --tokenizer byte --vocabulary 300 tokens.bin", "tokens.bin");
  expect_refused("tokenize --tokenizer . --end-of-document none --out t a.txt", "\"none\"");
}

TEST_F(Tokens, FilesOfOthersServeTrainingAndEvaluation) {
  write_flat();
  write("run.yaml", kTokens);
  succeed("train run.yaml --dry-run", "400 tokens, 10 documents, vocabulary 257");
  expect_refused("train run.yaml data.vocabulary=256 --dry-run", "end_of_document: is 256");
  expect_refused("train run.yaml data.element=u8 --dry-run", "data.element");
  const Result trained = run("train run.yaml");
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  succeed("eval perplexity --model run/model --data train.bin --length 30 --sequences 2", "");
  succeed("detokenize --documents 1 --data-end 256 train.bin", "ABCDEFGHIJKLM");
}

TEST_F(Tokens, GenerateTakesTheTokenizerBesideTheModel) {
  write_flat();
  write("run.yaml", kTokens);
  ASSERT_EQ(run("train run.yaml").exit_code, 0);
  succeed("generate --model run/model --prompt abc --tokens 3", "abc");  // bytes
  write("run/model/tokenizer.json", "{}");
  expect_refused("generate --model run/model --prompt abc", "run/model/tokenizer.json: model");
  write("run/model/tokenizer.json", tokenizer_json());
  succeed("generate --model run/model --prompt abc --tokens 3", "abc");
  fs::remove(folder_ / "run/model/tokenizer.json");
  write("big.yaml", std::string(kTokens).replace(std::string(kTokens).find("257"), 3, "600"));
  ASSERT_EQ(run("train big.yaml run.folder=big").exit_code, 0);
  expect_refused("generate --model big/model --prompt abc", "expected the option --tokenizer");
}

}  // namespace
}  // namespace longhaul::launch
