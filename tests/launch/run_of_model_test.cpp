// Which run a model is of, and what follows from it: token ids, tokenizer, model card.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "launch/model_conversion.h"
#include "tests/launch/model_of_a_run.h"

namespace longhaul::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class RunOfModel : public ModelOfARun {
 protected:
  void copy(const std::string& from, const std::string& to) const {
    fs::create_directories(folder_ / to);
    fs::copy(folder_ / from, folder_ / to, fs::copy_options::recursive);
  }
  void replace(const std::string& file, const std::string& what, const std::string& by) const {
    std::string text = text_of(folder_ / file);
    const size_t at = text.find(what);
    ASSERT_NE(at, std::string::npos) << file << ": " << text;
    write(file, text.replace(at, what.size(), by));
  }
  std::string card_of(const std::string& arguments) {
    expect_done("export --out card " + arguments, "card: ");
    std::string card = text_of(folder_ / "card/README.md");
    fs::remove_all(folder_ / "card");
    return card;
  }
};

TEST_F(RunOfModel, IsKnownByNames) {
  const fs::path run = fs::weakly_canonical(folder_ / "theses/run");
  copy("theses/run/model", "theses/run/other");
  copy("theses/run/model", "theses/run/checkpoints/best");
  copy("theses/run/other", "theses/run/model/deeper");
  for (const char* model : {"", "model", "model/", "checkpoints/step-3"})
    EXPECT_EQ(run_of(run / model), run) << model;
  for (const char* model :
       {"other", "checkpoints/best", "model/deeper", "checkpoints", "tokenizer"})
    EXPECT_EQ(run_of(run / model), std::nullopt) << model;
  EXPECT_EQ(step_of_checkpoint(run / "checkpoints/step-3"), 3);
  EXPECT_EQ(step_of_checkpoint(run / "step-3"), std::nullopt);
}

TEST_F(RunOfModel, IsKnownThroughLinks) {
  const fs::path run = fs::weakly_canonical(folder_ / "theses/run");
  const auto move_away = [&](const fs::path& folder, const std::string& name) {
    fs::rename(folder, folder_ / name);
    fs::create_directory_symlink(folder_ / name, folder);
  };
  fs::create_directory_symlink(run / "model", folder_ / "best");
  EXPECT_EQ(run_of(folder_ / "best"), run);
  move_away(run / "model", "large");
  move_away(run / "checkpoints", "larger");
  for (const char* model : {"", "model", "model/", "checkpoints/step-3"})
    EXPECT_EQ(run_of(run / model), run) << model;
  EXPECT_EQ(run_of(folder_ / "large"), std::nullopt);
  EXPECT_EQ(step_of_checkpoint(run / "checkpoints/step-3"), 3);
  fs::create_directory_symlink(run, folder_ / "newest");
  EXPECT_EQ(run_of(folder_ / "newest/model"), run);
  expect_refused("export --model theses/run/checkpoints/step-3 --out theses/run/model",
                 "is the model of the run");
  expect_refused("export --model theses/run/checkpoints/step-3 --out newest/model",
                 "is the model of the run");
}

TEST_F(RunOfModel, ARunYamlNearAModelMakesItNoModelOfThatRun) {
  // As the README has it: run.yaml beside the model that it will train from, and deeper ones.
  for (const std::string model : {"own/base", "own/model", "own/deeper/base"}) {
    for (const std::string& yaml : {text_of(folder_ / "theses/run/run.yaml"),
                                    std::string("name: nightly\non: {schedule: daily}\n")}) {
      fs::remove_all(folder_ / "own");
      copy("theses/run/model", model);
      replace(model + "/config.json", "\"bos_token_id\": null", "\"bos_token_id\": 7");
      write("own/run.yaml", yaml);
      expect_done("export --out hf --tokenizer none --model " + model, "as F32");
      EXPECT_FALSE(fs::exists(folder_ / "hf/README.md")) << model;
      EXPECT_THAT(text_of(folder_ / "hf/config.json"),
                  AllOf(HasSubstr("\"bos_token_id\": 7"), HasSubstr("\"eos_token_id\": null")));
      expect_refused("export --out hf --card --model " + model, model + " lies in no run");
      expect_done("generate --prompt a --tokens 2 --model " + model, "a");
      expect_done("eval perplexity --data tokens --length 64 --sequences 2 --model " + model, "");
      expect_done("import --out imported --from " + model, "as F32");
      EXPECT_THAT(text_of(folder_ / "imported/config.json"), HasSubstr("\"bos_token_id\": 7"));
    }
  }
}

TEST_F(RunOfModel, OwnTokenIdsComeFirst) {
  replace("theses/run/model/config.json", "\"eos_token_id\": null", "\"eos_token_id\": 9");
  expect_done("export --model theses/run --tokenizer none --out hf", "hf: ");
  EXPECT_THAT(text_of(folder_ / "hf/config.json"),
              AllOf(HasSubstr("\"eos_token_id\": 9"), HasSubstr("\"bos_token_id\": null")));
  expect_done("import --from theses/run --out imported", "imported: ");
  EXPECT_THAT(text_of(folder_ / "imported/config.json"), HasSubstr("\"eos_token_id\": 9"));
}

TEST_F(RunOfModel, ACheckpointsCardIsOfThatCheckpoint) {
  ASSERT_EQ(run("train text.yaml run.folder=run checkpoint.every=1 checkpoint.keep=3").exit_code,
            0);
  const std::string eval = "eval perplexity --data tokens --length 64 --sequences 2 --model run/";
  ASSERT_EQ(run(eval + "model --json run/evaluation/last.json").exit_code, 0);
  ASSERT_EQ(run(eval + "checkpoints/step-1 --json run/evaluation/first.json").exit_code, 0);
  ASSERT_EQ(run(eval + "model --dtype fp64 --json run/evaluation/fine.json").exit_code, 0);
  const std::string last = card_of("--model run");
  EXPECT_THAT(last, AllOf(HasSubstr("| steps | 3 |\n"), HasSubstr("| tokens | 384 |")));
  EXPECT_THAT(last,
              AllOf(HasSubstr("### last"), HasSubstr("### fine"), Not(HasSubstr("### first"))));
  EXPECT_EQ(card_of("--model run/checkpoints/step-3"), last);
  const std::string first = card_of("--model run/checkpoints/step-1");
  EXPECT_THAT(first, AllOf(HasSubstr("| steps | 1 of 3 |\n"), HasSubstr("| tokens | 128 |")));
  EXPECT_THAT(first, AllOf(HasSubstr("### first"), Not(HasSubstr("### last"))));
  const std::string second = card_of("--model run/checkpoints/step-2");
  EXPECT_THAT(second, AllOf(HasSubstr("| steps | 2 of 3 |\n"), HasSubstr("| tokens | 256 |"),
                            HasSubstr("\nNot measured.\n")));
}

TEST_F(RunOfModel, AnEarlierModelsInitialStateDoesNotStayBesideAGgufFile) {
  const std::string command = "export --model theses/run --format gguf --out m.gguf";
  const fs::path state = folder_ / "m.initial_state.safetensors";
  expect_done(command + " --initial-state tokens --state-length 40", "as F32");
  EXPECT_TRUE(fs::exists(state));
  const Result without = run(command);
  EXPECT_EQ(without.exit_code, 0);
  EXPECT_THAT(without.err, HasSubstr("m.initial_state.safetensors: was another model's"));
  EXPECT_FALSE(fs::exists(state));
  write(state.filename().string(), "somebody's own");
  expect_done(command, "as F32");
  EXPECT_TRUE(fs::exists(state));
}

TEST_F(RunOfModel, NoPathIsInTheCard) {
  ASSERT_EQ(run("train text.yaml run.folder=run").exit_code, 0);
  replace("run/run.yaml", "kind: tokens  ", "kind: babilong");  // which takes all texts there are
  replace("run/run.yaml", "stories: []", "stories: [\"\"]");
  const std::string yaml = text_of(folder_ / "run/run.yaml");
  const std::string path = (folder_ / "secret").string();
  // Every text of the configuration, also such as are yet to come.
  for (const std::string& place : {path, std::string("~/secret"), std::string("../secret/x")}) {
    std::string changed = yaml;
    int texts = 0;
    for (size_t at = 0; (at = changed.find("\"", at)) != std::string::npos; ++texts) {
      const size_t end = changed.find("\"", at + 1);
      const size_t line = changed.rfind('\n', at) + 1;
      const bool is_model = changed.substr(line, at - line).find("  from: ") != std::string::npos;
      const std::string value = is_model ? "\"\"" : "\"" + place + "/thing" + "\"";
      changed.replace(at, end + 1 - at, value);
      at += value.size();
    }
    EXPECT_GE(texts, 7);
    write("run/run.yaml", changed);
    const std::string card = card_of("--model run --tokenizer none");
    EXPECT_THAT(card, AllOf(Not(HasSubstr("secret")), HasSubstr("  folder: \"thing\"")));
  }
}

TEST_F(RunOfModel, TheCardNamesTheLibraryOfTheFormat) {
  EXPECT_THAT(card_of("--model theses/run"), HasSubstr("library_name: transformers\n"));
  for (const std::string format : {"state-spaces", "state-spaces-safetensors"}) {
    EXPECT_THAT(card_of("--model theses/run --card --format " + format),
                HasSubstr("library_name: mamba-ssm\n"));
  }
}

TEST_F(RunOfModel, AFolderWithASlashHasAName) {
  expect_done("export --model theses/run --out named/ --initial-state tokens --state-length 40",
              "from_pretrained(\"named\")");
  EXPECT_THAT(text_of(folder_ / "out.txt"), HasSubstr("--initial-state named/initial_state."));
}

}  // namespace
}  // namespace longhaul::launch
