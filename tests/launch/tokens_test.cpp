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
  succeed("train run.yaml --dry-run", "400 tokens, vocabulary 257");
  expect_refused("train run.yaml data.vocabulary=256 --dry-run", "end_of_document: is 256");
  expect_refused("train run.yaml data.element=u8 --dry-run", "data.element");
  const Result trained = run("train run.yaml");
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  succeed("eval perplexity --model run/model --data train.bin --length 30 --sequences 2", "");
  succeed("detokenize --documents 1 --data-end 256 train.bin", "ABCDEFGHIJKLM");
}

TEST_F(Tokens, HeldOutDocumentsAreForMeasuring) {
  std::string records;
  for (int i = 0; i < 200; ++i) {
    records += "{\"text\": \"a record of text, number " + std::to_string(i) + "\"}\n";
  }
  write("a.jsonl", records);
  succeed("tokenize --out tokens --held-out 0.2 a.jsonl", "tokens_held_out: held out ");
  succeed("inspect tokens_held_out", "split: held out, share 0.2; ");
  write("run.yaml",
        std::string(kTokens).replace(std::string(kTokens).find("train.bin"), 9, "tokens") +
            "evaluation: {every: 2, length: 30, sequences: 2}\n");
  succeed(
      "train run.yaml --dry-run",
      "evaluation     tokens, trained on: its numbers are not of unseen data; evaluation.folder "
      "can name held-out data (tokens_held_out is there)\n");
  succeed("train run.yaml evaluation.folder=tokens_held_out", "evaluation     tokens_held_out: ");
  const std::string eval = "eval perplexity --model run/model --length 30 --sequences 2 --json ";
  Result result = run(eval + "run/evaluation/trained.json --data tokens");
  EXPECT_THAT(result.err,
              HasSubstr("run/model is measured on the data it was trained on (tokens)"));
  EXPECT_THAT(text_of(folder_ / "run/evaluation/trained.json"),
              HasSubstr("on the data it was trained on"));
  result = run(eval + "held_out.json --data tokens_held_out");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err.find("trained on"), std::string::npos) << result.err;
  EXPECT_EQ(text_of(folder_ / "held_out.json").find("trained on"), std::string::npos);
  fs::rename(folder_ / "tokens", folder_ / "moved");
  result = run(eval + "moved.json --data moved");
  EXPECT_EQ(result.err.find("trained on"), std::string::npos) << "the run's data are gone";
  ASSERT_EQ(run("report run --out report.html").exit_code, 0);
  EXPECT_THAT(text_of(folder_ / "report.html"),
              HasSubstr("Measured on the data that was trained on."));
}

TEST_F(Tokens, HeldOutSharesThatCannotBeAreRefused) {
  write("a.txt", "some text\n");
  for (const std::string share : {"0", "1", "5", "nan", "5%"}) {
    expect_refused("tokenize --out tokens --held-out " + share + " a.txt", "--held-out: ");
  }
  expect_refused("tokenize --out tokens --held-out-folder other a.txt", "--held-out");
  expect_refused("tokenize --out tokens --held-out 0.1 --held-out-folder tokens/ a.txt",
                 "apart from tokens");
  EXPECT_FALSE(fs::exists(folder_ / "tokens"));
  succeed("tokenize --out tokens --held-out 0.4 --held-out-folder other a.txt", "other: held out");
  fs::rename(folder_ / "other", folder_ / "tokens_held_out");
  const Result result = run("tokenize --out tokens a.txt");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("tokens_held_out is there from another run"));
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

TEST_F(Tokens, GenerateWritesNoHalfOfACharacter) {
  write_flat();
  write("run.yaml", kTokens);
  ASSERT_EQ(run("train run.yaml").exit_code, 0);
  const std::string generate = "generate --model run/model --tokens 0 --prompt-file ";
  write("half.txt", "na\xc3");
  EXPECT_EQ(run(generate + "half.txt").out, "na\uFFFD\n");
  write("whole.txt", "na\xc3\xaf");
  EXPECT_EQ(run(generate + "whole.txt").out, "naï\n");
  const std::string piped = "cd '" + folder_.string() + "' && printf 'from a pipe' | '" +
                            program_.string() + "' " + generate + "- >piped.txt";
  ASSERT_EQ(std::system(piped.c_str()), 0);
  EXPECT_EQ(text_of(folder_ / "piped.txt"), "from a pipe\n");
}

TEST_F(Tokens, TokenizeTellsWhatItReadInAnotherWay) {
  write("a.json", "[1]");
  write("b.jsonl", "{\"text\": \"good\"}\n{\"text\": \"\\ud800\"}\nbad\n");
  write("c.jsonl", "{\"text\": \"\\udc00\"}\n");
  expect_refused("tokenize --out t a.json b.jsonl", "b.jsonl:3: is not JSON");
  write("d.txt.bz2", "BZh91AY&SY");
  expect_refused("tokenize --out t a.json d.txt.bz2", "d.txt.bz2: is bzip2 data, expected text");
  const Result result = run("tokenize --out t --skip-bad-records a.json b.jsonl c.jsonl");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("t: 4 documents, "));
  EXPECT_THAT(result.out, HasSubstr("from 3 files; 1 bad records; end"));
  EXPECT_THAT(result.err, HasSubstr("longhaul: note: a.json: is read as plain text; records"));
  EXPECT_THAT(result.err, HasSubstr("note: b.jsonl:2 and 1 more: are no UTF-8"));
  EXPECT_THAT(result.err,
              HasSubstr("note: 1 bad record is left out, the first: b.jsonl:3: is not"));
}

}  // namespace
}  // namespace longhaul::launch
