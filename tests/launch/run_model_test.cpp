// A run's model in other commands: exported, with card, token ids and initial state, imported,
// measured, and trained from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/token_folder.h"
#include "tests/launch/model_of_a_run.h"

namespace longhaul::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(ModelOfARun, WritesAModelCardThatIsTheSameEveryTime) {
  expect_done("export --model theses/run --out a", "a: ");
  const std::string card = text_of(folder_ / "a/README.md");
  for (const char* part :
       {"library_name: transformers", "# a\n", "| base model | none: trained from scratch |",
        "| method | state passing", "| steps | 3 |", "| tokens | 384 |", "`tokens`", "### text",
        "Text of `tokens`, 2 sequences of 64 tokens", "| 48 to 63 |", "source: state_passing",
        "folder: \"run\""}) {
    EXPECT_THAT(card, HasSubstr(part));
  }
  EXPECT_THAT(card, Not(HasSubstr("theses")));  // no paths
  fs::rename(folder_ / "a", folder_ / "first");
  expect_done("export --model theses/run/model --out a", "a: ");
  EXPECT_EQ(text_of(folder_ / "a/README.md"), card);
  expect_done("export --model theses/run --out b --no-card", "b: ");
  EXPECT_FALSE(fs::exists(folder_ / "b/README.md"));
  expect_done("export --model theses/run --out c --format state-spaces --card", "c: ");
  EXPECT_TRUE(fs::exists(folder_ / "c/README.md"));
  expect_refused("export --model first --out d --card", "first lies in no run");
}

TEST_F(ModelOfARun, ARunIsResumedWithoutTheModelThatItBeganFrom) {
  for (const char* folder : {"whole", "cut"}) {
    const std::string arguments = "train next.yaml model.from=theses/run run.folder=";
    const bool is_cut = std::string(folder) == "cut";
    EXPECT_EQ(run(arguments + folder + (is_cut ? " --until 2" : "")).exit_code, is_cut ? 75 : 0);
  }
  const std::string from = text_of(folder_ / "cut/run.yaml");
  fs::rename(folder_ / "theses", folder_ / "gone");
  expect_refused("train next.yaml model.from=theses/run run.folder=new --resume", "theses/run");
  const Result resumed = run("train next.yaml model.from=theses/run run.folder=cut --resume");
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(text_of(folder_ / "cut/run.yaml"), from);
  EXPECT_EQ(text_of(folder_ / "cut/model/model.safetensors"),
            text_of(folder_ / "whole/model/model.safetensors"));
}

TEST_F(ModelOfARun, ARunIsResumedWithItsOwnShapeWhateverBecameOfTheModelThatItBeganFrom) {
  const std::string train = "train next.yaml model.from=base run.folder=";
  fs::copy(folder_ / "theses/run/model", folder_ / "base");
  ASSERT_EQ(run(train + "whole").exit_code, 0);
  ASSERT_EQ(run(train + "cut --until 2").exit_code, 75);
  std::string config = text_of(folder_ / "base/config.json");
  const std::string before = "\"layer_norm_epsilon\": 1e-05";
  ASSERT_THAT(config, HasSubstr(before));
  write("base/config.json",
        config.replace(config.find(before), before.size(), "\"layer_norm_epsilon\": 0.1"));
  const Result resumed = run(train + "cut --resume");
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("model.from: base is another model than the run began from "
                                     "(norm_epsilon was 1e-05 and is 0.1)"));
  for (const char* file : {"model/model.safetensors", "model/config.json"}) {
    EXPECT_EQ(text_of(folder_ / "cut" / file), text_of(folder_ / "whole" / file)) << file;
  }
  const Result again =
      run(train + "cut --resume evaluation.length=48 checkpoint.keep_best=1 evaluation.every=3");
  EXPECT_THAT(again.err, HasSubstr("resumed with another evaluation.length"));
}

TEST_F(ModelOfARun, TheModelCardNamesEveryMeasure) {
  fs::remove(folder_ / "theses/run/evaluation/text.json");
  expect_done("export --model theses/run/model --out a", "a: ");
  EXPECT_THAT(text_of(folder_ / "a/README.md"), HasSubstr("Not measured."));
  for (const std::string measure : {"effrem", "states"}) {
    ASSERT_EQ(run("eval " + measure +
                  " --model theses/run/model --data tokens --length 64 --sequences 2 "
                  "--json theses/run/evaluation/" +
                  measure + ".json")
                  .exit_code,
              0);
  }
  ASSERT_EQ(
      run("eval passkey --model theses/run/model --lengths 300,400 --trials 2 --depths 0.5 --json "
          "theses/run/evaluation/keys.json")
          .exit_code,
      0);
  const std::string keys = "eval passkey --model theses/run/model --trials 2 ";
  expect_refused(keys + "--lengths 300,400,300", "--lengths: 300 is given twice");
  expect_refused(keys + "--lengths 300 --depths 0.5,0,0.5", "--depths: 0.5 is given twice");
  expect_done("export --model theses/run/model --out a", "a: ");
  const std::string card = text_of(folder_ / "a/README.md");
  EXPECT_THAT(card, Not(HasSubstr("Not measured.")));
  EXPECT_THAT(card,
              ContainsRegex(
                  "- `effrem`: effective remembrance, text of `tokens`, 2 sequences of 64 tokens: "
                  "0\\.[0-9]+ without the first token, 0\\.[0-9]+ without the first 63\n"));
  EXPECT_THAT(
      card, ContainsRegex(
                "- `states`: statistics of the states, text of `tokens`, 2 sequences of 64 tokens: "
                "standard deviation [0-9.e-]+ at 1, [0-9.e-]+ at 64 tokens; outlying "
                "heads at the end: [0-9]+ of 8\n"));
  EXPECT_THAT(card, HasSubstr("- `keys`: passkey, accuracy by length: 0.00 % at 300 (2 trials), "
                              "0.00 % at 400 (2 trials)\n"));
}

TEST_F(ModelOfARun, WritesTheTokenIdsThatAreKnown) {
  const auto ids = [&](const std::string& name) {
    const std::string config = text_of(folder_ / name / "config.json");
    const size_t begin = config.find("\"pad_token_id\"");
    return config.substr(begin, config.find("\"torch_dtype\"") - begin);
  };
  const auto expected = [](const std::string& other, const std::string& end) {
    return "\"pad_token_id\": " + other + ",\n  \"bos_token_id\": " + other +
           ",\n  \"eos_token_id\": " + end + ",\n  ";
  };
  EXPECT_EQ(ids("theses/run/model"), expected("null", "null"));
  expect_done("export --model theses/run --out a", "a: ");  // trained on bytes
  EXPECT_EQ(ids("a"), expected("256", "256"));
  EXPECT_TRUE(fs::exists(folder_ / "a/tokenizer.json"));
  expect_done("export --model theses/run --out n --tokenizer none", "n: ");
  EXPECT_EQ(ids("n"), expected("null", "256"));
  expect_done("export --model theses/run --out b --tokenizer byte", "b: ");
  EXPECT_EQ(text_of(folder_ / "out.txt").find("no tokenizer"), std::string::npos);
  EXPECT_EQ(ids("b"), expected("256", "256"));
  fs::rename(folder_ / "tokens", folder_ / "moved");
  expect_done("export --model theses/run --out c",
              "c: no tokenizer was written, as theses/run/model has "
              "none; give --tokenizer FOLDER, or --tokenizer byte where tokens are bytes\n");
  EXPECT_EQ(ids("c"), expected("null", "null"));
  // Of the model that a run started from: what its config.json says.
  ASSERT_EQ(run("train next.yaml model.from=b data.folder=moved run.folder=next").exit_code, 0);
  expect_done("export --model next --out d", "d: ");
  EXPECT_EQ(text_of(folder_ / "out.txt").find("no tokenizer"), std::string::npos);
  EXPECT_EQ(ids("d"), expected("256", "256"));
  // And of the one that this one started from.
  ASSERT_EQ(run("train next.yaml model.from=next data.folder=moved run.folder=last").exit_code, 0);
  expect_done("export --model last --out e", "e: ");
  EXPECT_EQ(ids("e"), expected("256", "256"));
  EXPECT_TRUE(fs::exists(folder_ / "e/tokenizer.json"));
}

TEST_F(ModelOfARun, EveryCommandTakesARun) {
  write_tokens(std::vector<int32_t>(8, 3));
  for (const std::string command :
       {"eval perplexity --data tokens --length 64 --sequences 2 --json NAME.json --model ",
        "generate --prompt x --tokens 5 --model ",
        "forward --tokens t.safetensors --out new/NAME.safetensors --model ",
        "import --out NAME-imported --from ",
        "train next.yaml run.folder=NAME-next --dry-run model.from="}) {
    std::vector<std::string> outputs;
    for (const std::string model : {"theses/run", "theses/run/model"}) {
      const Result result = run(command + model);
      EXPECT_EQ(result.exit_code, 0) << command << model << "\n" << result.err;
      outputs.push_back(result.out);
    }
    if (command.find("from") == std::string::npos) {
      EXPECT_EQ(outputs[0], outputs[1]) << command;
    }
  }
  EXPECT_THAT(text_of(folder_ / "NAME.json"), HasSubstr("\"training_length\": \"32\""));
  ASSERT_EQ(run("train next.yaml model.from=theses/run run.folder=next").exit_code, 0);
  fs::remove_all(folder_ / "theses/run/model");
  for (const std::string command :
       {"eval perplexity --data tokens --length 64 --sequences 2 --model ",
        "generate --prompt x --model ", "import --out i --from ", "export --out i --model ",
        "train next.yaml run.folder=later model.from="}) {
    expect_refused(command + "theses/run", "theses/run: is a run that has no model yet");
  }
}

TEST_F(ModelOfARun, AGgufFileCanBeTrainedFrom) {
  // llama.cpp wants the inner width to be twice the width.
  ASSERT_EQ(run("export --model theses/run --format gguf --tokenizer byte --out m.gguf").exit_code,
            0);
  ASSERT_EQ(run("train next.yaml model.from=m.gguf run.folder=next schedule.steps=2").exit_code, 0);
  ASSERT_EQ(run("train next.yaml model.from=theses/run run.folder=same schedule.steps=2").exit_code,
            0);
  const auto theirs = tensors_of("same/model/model.safetensors");
  for (const auto& [name, values] : tensors_of("next/model/model.safetensors")) {
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(values[i], theirs.at(name)[i], 1e-4) << name;  // A_log is stored as A
    }
  }
  expect_refused("train next.yaml model.from=text.txt run.folder=other",
                 "text.txt: is no GGUF file, expected a model folder or a GGUF file");
}

TEST_F(ModelOfARun, ForwardDoesNotWriteOverWhatItReads) {
  write_tokens(std::vector<int32_t>(8, 3));
  const std::string before = text_of(folder_ / "t.safetensors");
  expect_refused("forward --model theses/run --tokens t.safetensors --out ./t.safetensors",
                 "--out: is the file of --tokens, expected another one");
  EXPECT_EQ(text_of(folder_ / "t.safetensors"), before);
}

TEST_F(ModelOfARun, WritesTheLearnedInitialState) {
  expect_done(
      "export --model theses/run --out a --initial-state tokens --state-length 40 "
      "--state-sequences 3",
      "mean final state over 3 sequences of 40 tokens");
  expect_done("export --model theses/run --out b --initial-state theses/run",
              "mean of the 4 states that the run hands on after step 3");
  EXPECT_THAT(text_of(folder_ / "b/README.md"), HasSubstr("--initial-state b/initial_state.saf"));
  // The mean, by what forward says of the same sequences.
  const int64_t tokens = data::TokenFolder(folder_ / "tokens").tokens();
  std::map<std::string, std::vector<double>> mean;
  for (int64_t i = 0; i < 3; ++i) {
    std::vector<int32_t> sequence(40);
    data::TokenFolder(folder_ / "tokens").read((tokens - 40) / 2 * i, sequence);
    write_tokens(sequence);
    ASSERT_EQ(run("forward --model a --tokens t.safetensors --out o.safetensors").exit_code, 0);
    for (const auto& [name, values] : tensors_of("o.safetensors")) {
      if (!name.starts_with("final.")) continue;
      auto& sum = mean[name.substr(6)];
      sum.resize(values.size());
      for (size_t j = 0; j < values.size(); ++j) sum[j] += values[j] / 3;
    }
  }
  const auto state = tensors_of("a/initial_state.safetensors");
  ASSERT_EQ(state.size(), mean.size());
  for (const auto& [name, values] : mean) {
    ASSERT_EQ(state.at(name).size(), values.size()) << name;
    for (size_t j = 0; j < values.size(); ++j) {
      ASSERT_NEAR(state.at(name)[j], values[j], 1e-6 + 1e-5 * std::fabs(values[j])) << name;
    }
  }
  // It can be started from, and makes a difference.
  for (const char* from : {"a", "b"}) {
    const std::string file = std::string(from) + "/initial_state.safetensors";
    ASSERT_EQ(
        run("forward --model a --tokens t.safetensors --out p.safetensors --initial-state " + file)
            .exit_code,
        0);
    EXPECT_NE(tensors_of("p.safetensors").at("logits"), tensors_of("o.safetensors").at("logits"));
    EXPECT_EQ(run("generate --model a --prompt x --tokens 2 --initial-state " + file).exit_code, 0);
  }
  // State passing hands on the recurrent state only.
  EXPECT_THAT(tensors_of("b/initial_state.safetensors")["conv.0"], ::testing::Each(0));
  expect_done("export --model theses/run --out a", "a: ");
  EXPECT_FALSE(fs::exists(folder_ / "a/initial_state.safetensors"));  // of other weights
  expect_refused("export --model theses/run --out c --initial-state text.yaml", "neither a token");
  expect_refused("export --model theses/run --out c --initial-state tokens --state-length 99999",
                 "expected at least --state-length 99999");
  EXPECT_FALSE(fs::exists(folder_ / "c"));
}

}  // namespace
}  // namespace longhaul::launch
