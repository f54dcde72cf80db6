// What `longhaul export` and `import` write beside the weights, and what they replace.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/architecture.h"
#include "model/checkpoint/byte_tokenizer.h"
#include "model/checkpoint/model_writing.h"
#include "tests/launch/conversion.h"
#include "tests/launch/tokenizer_file.h"

namespace longhaul::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Export : public Conversion {
 protected:
  void SetUp() override {
    Conversion::SetUp();
    model::ModelConfig config;
    config.vocabulary = 260;
    config.width = 32;
    config.heads = 8;
    config.head_dim = 8;
    config.state_dim = 4;
    write_model(config, "base");
  }
  /// All weights zero.
  void write_model(const model::ModelConfig& config, const std::string& name) const {
    std::vector<model::TensorStream> tensors;
    for (const auto& parameter : model::parameters_of(config)) {
      model::TensorStream tensor{.name = parameter.name, .shape = parameter.shape};
      tensor.origin = parameter.name;
      tensor.read = [](int64_t, int64_t count, void* target) {
        std::fill_n(static_cast<float*>(target), count, 0.0f);
      };
      tensors.push_back(std::move(tensor));
    }
    model::write_model_folder(config, tensors, folder_ / name, {});
  }
  nlohmann::json json_of(const std::string& file) const {
    std::string text = text_of(folder_ / file);
    const size_t bare = text.find(" Infinity");
    if (bare != std::string::npos) text.replace(bare, 9, "\"Infinity\"");
    return nlohmann::json::parse(text);
  }
  std::vector<std::string> names_in(const std::string& name) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_ / name))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  void train_on_bytes() const {
    write("text.txt", std::string(400, 'a'));
    write("train.yaml",
          "model: {shape: {vocabulary: 0, width: 32, layers: 1, heads: 8, head_dim: 8, state_dim: "
          "8, chunk: 8}}\ndata: {folder: tok, length: 16, sequences: 2}\nschedule: {steps: 2, "
          "warmup: 1}\nparallel: {threads: 1}\nrun: {folder: run}\n");
    ASSERT_EQ(run("tokenize --out tok text.txt").exit_code, 0);
    ASSERT_EQ(run("train train.yaml").exit_code, 0);
  }
};

TEST_F(Export, TransformersIsToldTheClassOfATokenizer) {
  write("base/tokenizer.json", tokenizer_json());
  expect_done("export --model base --out hf", "as F32");
  EXPECT_EQ(json_of("hf/tokenizer_config.json"),
            (nlohmann::json{{"tokenizer_class", "PreTrainedTokenizerFast"},
                            {"eos_token", "<|endoftext|>"}}));
  write("base/tokenizer_config.json", R"({"model_max_length": 7, "eos_token": "z"})");
  expect_done("export --model base --out hf", "as F32");
  EXPECT_EQ(json_of("hf/tokenizer_config.json"),
            (nlohmann::json{{"tokenizer_class", "PreTrainedTokenizerFast"},
                            {"eos_token", "z"},
                            {"model_max_length", 7}}));
  for (const char* theirs : {R"({"tokenizer_class":"GPTNeoXTokenizerFast"})",
                             R"({"auto_map":{"AutoTokenizer":["a.B",null]}})"}) {
    write("base/tokenizer_config.json", theirs);
    expect_done("export --model base --out hf", "as F32");
    EXPECT_EQ(text_of(folder_ / "hf/tokenizer_config.json"), theirs);
  }
}

TEST_F(Export, TheEndOfATokenizerThatIsOnlyCopiedIsThatOfTheConfiguration) {
  auto config = json_of("base/config.json");
  config["eos_token_id"] = 5;
  write("base/config.json", config.dump());
  write("base/tokenizer.json",
        R"({"model": {"type": "Unigram", "vocab": [["a", 0.0]]}, "added_tokens": [
            {"id": 5, "content": "<end>", "special": true}]})");
  expect_done("export --model base --out hf", "as F32");
  EXPECT_EQ(json_of("hf/tokenizer_config.json")["eos_token"], "<end>");
  write("base/tokenizer.json", R"({"model": {"type": "Unigram", "vocab": [["a", 0.0]]}})");
  expect_done("export --model base --out hf", "as F32");
  EXPECT_FALSE(json_of("hf/tokenizer_config.json").contains("eos_token"));
}

TEST_F(Export, AChatTemplateGoesThroughGguf) {
  const std::string chat = "{% for m in messages %}«{{ m.content }}»\n{% endfor %}";
  const auto back = [&](const std::string& model) {
    expect_done("export --model " + model + " --format gguf --out model.gguf", "as F32");
    expect_done("import --from model.gguf --out back", "from the GGUF format");
    return json_of("back/tokenizer_config.json").value("chat_template", nlohmann::json());
  };
  write("base/tokenizer.json", tokenizer_json());
  EXPECT_EQ(back("base"), nlohmann::json());
  write("base/chat_template.jinja", chat);
  EXPECT_EQ(back("base"), chat);
  EXPECT_EQ(back("back"), chat);
  write("base/tokenizer.json", model::byte_tokenizer_json());
  EXPECT_EQ(back("base"), chat);
}

TEST_F(Export, FilesOfTheModelBeforeDoNotStay) {
  const std::vector<std::string> weights{"config.json", "model.safetensors", "notes.txt"};
  for (const std::string command :
       {"export --model base --out out", "import --from base --out out"}) {
    expect_done(command, "as F32");
    for (const char* name : {"tokenizer.json", "tokenizer_config.json", "merges.txt", "README.md",
                             "generation_config.json", "initial_state.safetensors", "notes.txt"}) {
      write(std::string("out/") + name, "another's");
    }
    ASSERT_EQ(run(command).exit_code, 0);
    EXPECT_EQ(names_in("out"), weights) << command;
  }
}

TEST_F(Export, BytesNeedNoTokenizersFile) {
  train_on_bytes();
  expect_done("export --model run --out hf", "as F32");
  EXPECT_EQ(text_of(folder_ / "hf/tokenizer.json"), model::byte_tokenizer_json());
  EXPECT_EQ(text_of(folder_ / "hf/tokenizer_config.json"), model::byte_tokenizer_config_json());
  EXPECT_EQ(json_of("hf/config.json")["eos_token_id"], 256);
  expect_done("export --model run --format gguf --out run.gguf", "as F32");
  expect_done("export --model hf --format gguf --out run.gguf", "as F32");  // that one's file
  expect_done("import --from run.gguf --out back", "from the GGUF format");
  EXPECT_EQ(json_of("back/tokenizer.json")["model"]["vocab"],
            json_of("hf/tokenizer.json")["model"]["vocab"].patch(
                R"([{"op": "add", "path": "/<|endoftext|>", "value": 256}])"_json));
  // Nobody says what the tokens of this one are.
  expect_done("export --model base --out hf", "no tokenizer was written");
}

TEST_F(Export, ARunIsNotReplaced) {
  train_on_bytes();
  const std::string weights = text_of(folder_ / "run/model/model.safetensors");
  for (const std::string command : {"export --model base --out ", "import --from base --out ",
                                    "export --model base --format state-spaces --out ",
                                    "export --model base --format gguf --tokenizer byte --out "}) {
    expect_refused(command + "run/model", "--out: run/model is the model of the run ");
    expect_refused(command + "run/model/", "is the model of the run ");
    expect_refused(command + "run/checkpoints/step-2", "is a checkpoint of the run ");
    expect_refused(command + "run/checkpoints/new", "is a checkpoint of the run ");
    expect_refused(command + "run/checkpoints", "holds the checkpoints of the run ");
    expect_refused(command + "./run", "--out: ./run is the run ");
  }
  EXPECT_EQ(text_of(folder_ / "run/model/model.safetensors"), weights);
  // YAML beside models makes no run of them.
  fs::create_directory(folder_ / "beside");
  fs::copy_file(folder_ / "train.yaml", folder_ / "beside/run.yaml");
  expect_done("export --model base --out beside/model", "as F32");
  expect_done("export --model base --out beside/model", "as F32");
  expect_done("export --model base --out run/exported", "as F32");
}

TEST_F(Export, TransformersTakesNoFractionForExpand) {
  model::ModelConfig config;
  config.vocabulary = 16;
  config.width = 96;
  config.heads = 3;
  config.head_dim = 48;
  config.state_dim = 4;
  write_model(config, "wide");
  expect_refused("export --model wide --out hf", "none makes 96 to 144");
}

TEST_F(Export, GgufReplacesGgufAlone) {
  const std::string command = "export --model base --format gguf --tokenizer byte --out ";
  expect_done(command + "new/folder/m.gguf", "as F32");
  expect_done(command + "new/folder/m.gguf", "as F32");
  EXPECT_EQ(names_in("new/folder"), std::vector<std::string>{"m.gguf"});
  const std::string weights = text_of(folder_ / "base/model.safetensors");
  expect_refused(command + "base/model.safetensors",
                 "base/model.safetensors is there and is no GGUF file");
  EXPECT_EQ(text_of(folder_ / "base/model.safetensors"), weights);
  write("thesis.tex", "x");
  expect_refused(command + "thesis.tex", "thesis.tex is there and is no GGUF file");
  expect_refused(command + "new", "new is a folder");
  EXPECT_EQ(run(command + "thesis.tex/m.gguf").exit_code, 1);
  fs::create_symlink("new/folder/m.gguf", folder_ / "link.gguf");
  expect_refused("export --model new/folder/m.gguf --format gguf --out link.gguf",
                 "--out: is the model itself");
  // Refused for another reason: no folder is left behind.
  expect_refused("export --model base --format gguf --out other/m.gguf", "holds no tokenizer.json");
  EXPECT_FALSE(fs::exists(folder_ / "other"));
}

TEST_F(Export, WhatWasKilledIsRemovedByTheNext) {
  write(".m.gguf.2147483646-0.partial", "half");
  write(".other.gguf.2147483646-0.partial", "of another file");
  expect_done("export --model base --format gguf --tokenizer byte --out m.gguf", "as F32");
  EXPECT_FALSE(fs::exists(folder_ / ".m.gguf.2147483646-0.partial"));
  EXPECT_TRUE(fs::exists(folder_ / ".other.gguf.2147483646-0.partial"));
}

TEST_F(Export, WhatTransformersIgnoresIsToldOf) {
  auto config = json_of("base/config.json");
  config["norm_before_gate"] = true;
  write("base/config.json", config.dump());
  for (const std::string command :
       {"export --model base --out out", "import --from base --out out"}) {
    const Result result = run(command);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.err,
                HasSubstr("longhaul: note: base/config.json: norm_before_gate: true is not"));
  }
}

}  // namespace
}  // namespace longhaul::launch
