// Whose tokens a model knows: kept with the tokens, with the run and its model, and compared.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/launch/conversion.h"
#include "tests/launch/tokenizer_file.h"

namespace longhaul::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ModelTokenizer : public Conversion {
 protected:
  void SetUp() override {
    Conversion::SetUp();
    write_tokenizer("bpe", 1);
    write_tokenizer("bpe2", 3);
    std::string text;
    for (int i = 0; i < 40; ++i) text += "The quick brown fox. ";
    write("text.txt", text);
    write("run.yaml",
          "model: {shape: {vocabulary: 0, width: 16, layers: 1, heads: 4, head_dim: 8, state_dim: "
          "8, chunk: 8}}\ndata: {folder: tok, length: 16, sequences: 2}\nschedule: {steps: 2, "
          "warmup: 1}\nparallel: {threads: 1}\nrun: {folder: run}\n");
    write("next.yaml",
          "model: {from: run}\ndata: {folder: tok, length: 16, sequences: 2}\nschedule: {steps: 2, "
          "warmup: 1}\nparallel: {threads: 1}\nrun: {folder: next}\n");
    expect_done("tokenize --tokenizer bpe --out tok text.txt", "end of document: 256");
  }
  void write_tokenizer(const std::string& name, int order) const {
    fs::create_directory(folder_ / name);
    write(name + "/tokenizer.json", tokenizer_json(order));
  }
  void train(const std::string& arguments) const {
    const Result result = run("train " + arguments);
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
};

TEST_F(ModelTokenizer, IsCarriedFromTheTokensToTheModel) {
  EXPECT_EQ(text_of(folder_ / "tok/tokenizer/tokenizer.json"), tokenizer_json());
  expect_done("detokenize tok", "The quick brown fox. ");
  train("run.yaml");
  fs::remove_all(folder_ / "bpe");
  fs::remove_all(folder_ / "tok");
  EXPECT_EQ(text_of(folder_ / "run/model/tokenizer.json"), tokenizer_json());
  for (const std::string model : {"run", "run/model", "run/checkpoints/step-2"}) {
    expect_done("generate --prompt abc --tokens 3 --model " + model, "abc");
    expect_refused("generate --prompt abc --tokenizer byte --model " + model,
                   "tokenizer.json (CRC-32 ");
  }
  expect_done("export --model run --out hf", "as F32");
  EXPECT_EQ(text_of(folder_ / "hf/tokenizer.json"), tokenizer_json());
  EXPECT_THAT(text_of(folder_ / "hf/config.json"), HasSubstr("\"eos_token_id\": 256"));
}

TEST_F(ModelTokenizer, IsAskedForWhereTheTokensAreNotKeptWithIt) {
  fs::remove_all(folder_ / "tok/tokenizer");  // as folders from before
  train("run.yaml");
  EXPECT_FALSE(fs::exists(folder_ / "run/model/tokenizer.json"));
  const std::string made_by = "run: was trained on tokens of 'bpe/tokenizer.json (CRC-32 ";
  for (const std::string command :
       {"generate --prompt abc --model run", "eval passkey --lengths 300 --model run"}) {
    expect_refused(command, made_by);
  }
  const std::string of_model = "run/model: was trained on tokens of 'bpe/tokenizer.json (CRC-32 ";
  expect_refused("export --model run --out hf", of_model);
  expect_refused("export --model run --format gguf --out m.gguf", of_model);
  expect_refused("export --model run --format gguf --tokenizer byte --out m.gguf",
                 "--tokenizer: is of the tokenizer 'byte', the model run/model of 'bpe/");
  EXPECT_FALSE(fs::exists(folder_ / "hf") || fs::exists(folder_ / "m.gguf"));
  expect_done("generate --prompt abc --model run --tokens 2 --tokenizer bpe", "abc");
  expect_done("export --model run --out hf --tokenizer bpe", "as F32");
  expect_done("export --model run --out ids --tokenizer none", "as F32");
}

TEST_F(ModelTokenizer, ThatIsNoneIsToldByTheOptionOrKeyThatNamesIt) {
  train("run.yaml");
  const std::string option = "longhaul: --tokenizer: is \"nosuch\", expected \"byte\"";
  expect_refused("tokenize --tokenizer nosuch --out t text.txt", option);
  expect_refused("detokenize tok --tokenizer nosuch", option);
  expect_refused("generate --prompt a --model run --tokenizer nosuch", option);
  expect_refused("eval passkey --lengths 300 --model run --tokenizer nosuch", option);
  expect_refused("export --model run --out hf --tokenizer nosuch", "longhaul: --tokenizer: found");
  expect_refused(
      "train next.yaml data.kind=passkey data.folder= data.length=300 data.tokenizer=nosuch",
      "longhaul: data.tokenizer: is \"nosuch\"");
  expect_refused("tokenize --end-of-document z --out t text.txt",
                 "longhaul: --end-of-document: is given, but the tokenizer \"byte\"");
  expect_refused("tokenize --tokenizer bpe --end-of-document no --out t text.txt",
                 "--end-of-document: is \"no\"");
}

TEST_F(ModelTokenizer, IsComparedWithThatOfTheTokens) {
  expect_done("tokenize --tokenizer bpe2 --out tok2 text.txt", "end of document: 256");
  train("run.yaml");
  const std::string perplexity =
      "eval perplexity --model run --length 30 --sequences 2 --data tok2";
  expect_refused("detokenize tok --tokenizer bpe2",
                 "tok: is of the tokenizer 'bpe/tokenizer.json (CRC-32 ");
  expect_refused(perplexity, "tok2: is of the tokenizer 'bpe2/tokenizer.json (CRC-32 ");
  expect_refused("train next.yaml data.folder=tok2", "the model run of 'run/model/tokenizer.json");
  expect_refused("train run.yaml run.folder=other evaluation.folder=tok2 evaluation.every=1",
                 "tok2: is of the tokenizer 'bpe2/tokenizer.json");
  expect_refused(
      "train next.yaml data.kind=passkey data.folder= data.length=300 "
      "data.tokenizer=bpe2",
      "data.tokenizer: is of the tokenizer 'bpe2/");
  expect_refused("generate --prompt a --model run --tokenizer bpe2", "'bpe2/tokenizer.json (CRC");
  expect_refused("eval passkey --lengths 300 --model run --tokenizer bpe2", "'bpe2/tokenizer.json");
  expect_refused("export --model run --tokenizer bpe2 --out hf", "--other-tokenizer to go on");
  expect_refused("export --model run --initial-state tok2 --out hf", "tok2: is of the tokenizer");
  for (const std::string& command :
       {std::string("detokenize tok --tokenizer bpe2 --other-tokenizer"),
        perplexity + " --other-tokenizer",
        std::string("generate --prompt a --model run --tokenizer bpe2 --other-tokenizer")}) {
    EXPECT_EQ(run(command).exit_code, 0) << command;
  }
  train("next.yaml data.folder=tok2 data.other_tokenizer=true");
  EXPECT_EQ(text_of(folder_ / "next/model/tokenizer.json"), tokenizer_json(3));
  train("next.yaml run.folder=same");
}

TEST_F(ModelTokenizer, OfBytesIsTheSameAsExported) {
  expect_done("tokenize --out bytes text.txt", "end of document: 256");
  train("run.yaml data.folder=bytes");
  expect_refused("generate --prompt a --model run --tokenizer bpe", "the model run of 'byte'");
  expect_done("export --model run --tokenizer byte --out hf", "as F32");
  train("next.yaml model.from=hf data.folder=bytes");
  expect_refused("train next.yaml model.from=hf", "tok: is of the tokenizer 'bpe/");
}

TEST_F(ModelTokenizer, KeepsTheEndOfDocumentThatWasChosen) {
  expect_done("tokenize --tokenizer bpe --end-of-document z --out tok text.txt", "document: 89");
  EXPECT_THAT(text_of(folder_ / "tok/tokenizer/tokenizer_config.json"), HasSubstr("\"z\""));
  train("run.yaml");
  expect_done("export --model run --out hf", "as F32");
  EXPECT_THAT(text_of(folder_ / "hf/config.json"), HasSubstr("\"eos_token_id\": 89"));
}

TEST_F(ModelTokenizer, HasRoomInTheModel) {
  write("recall.yaml", kRecall);
  train("recall.yaml");
  for (const std::string format : {"hf", "state-spaces"}) {
    expect_refused("export --model run --tokenizer bpe --out out --format " + format,
                   "bpe/tokenizer.json: has tokens up to 256, the model a vocabulary of 16");
  }
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(ModelTokenizer, OptionsDoNotContradictATokenFolder) {
  expect_refused("train run.yaml data.vocabulary=300 data.end_of_document=3",
                 "data.vocabulary: is 300, but tok says 257 itself", 2);
  expect_refused("detokenize tok --data-end 3", "--data-end: is 3, but tok says 256 itself");
  expect_refused("detokenize tok --first 1",
                 "--first: is 1, expected 0 to 0 (documents in tok: 1)");
  train("run.yaml data.vocabulary=257 data.end_of_document=256");
}

}  // namespace
}  // namespace longhaul::launch
