// `longhaul import` and `export` from outside: round trips, refusals, and how much memory they
// take.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "model/architecture.h"
#include "model/checkpoint/model_writing.h"
#include "tests/launch/conversion.h"

namespace longhaul::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

model::ModelConfig small_config() {
  model::ModelConfig config;
  config.vocabulary = 16;
  config.width = 32;
  config.heads = 8;
  config.head_dim = 8;  // inner width twice the width, as llama.cpp wants it
  config.state_dim = 4;
  return config;
}

/// A tensor for every parameter, its values a function of name and place; no memory behind it.
std::vector<model::TensorStream> made_up_tensors(const model::ModelConfig& config,
                                                 model::StoredType type) {
  std::vector<model::TensorStream> tensors;
  for (const auto& parameter : model::parameters_of(config)) {
    model::TensorStream tensor;
    tensor.name = parameter.name;
    tensor.shape = parameter.shape;
    tensor.origin = parameter.name;
    tensor.read = [seed = static_cast<int64_t>(parameter.name.size())](int64_t begin, int64_t count,
                                                                       void* target) {
      auto* values = static_cast<float*>(target);
      for (int64_t i = 0; i < count; ++i) {
        values[i] = static_cast<float>((begin + i + seed) % 251 - 125) / 64;
      }
    };
    tensors.push_back(model::converted(tensor, type));
  }
  return tensors;
}

TEST_F(Conversion, ImportsStateSpacesWithTheTokenizer) {
  write("tokenizer.json", "{}");
  model::WriteOptions options;
  options.companions = {folder_ / "tokenizer.json"};
  for (const auto container :
       {model::StateSpacesContainer::kTorch, model::StateSpacesContainer::kSafetensors}) {
    fs::remove_all(folder_ / "theirs");
    model::write_state_spaces_folder(small_config(),
                                     made_up_tensors(small_config(), model::StoredType::kF16),
                                     folder_ / "theirs", container, options);
    expect_done("import --from theirs --out ours", "F16, from the state-spaces format");
    EXPECT_EQ(text_of(folder_ / "ours/tokenizer.json"), "{}");
    EXPECT_THAT(text_of(folder_ / "ours/config.json"), HasSubstr("\"torch_dtype\": \"float16\""));
    EXPECT_EQ(weights_of("ours"), weights_of("theirs"));
  }
  expect_done("import --from ours --out again --dtype float32", "F32, from the Hugging Face");
  EXPECT_EQ(weights_of("again"), weights_of("theirs"));
}

TEST_F(Conversion, ImportRefusesWhatItCannotRead) {
  expect_refused("import --from nowhere --out out", "nowhere");
  write("file", "hello");
  expect_refused("import --from file --out out", "file: is no GGUF file");
  fs::create_directory(folder_ / "theirs");
  write("theirs/config.json", R"({"d_model": 16, "n_layer": 1, "ssm_cfg": {"layer": "Mamba3"}})");
  expect_refused("import --from theirs --out out", "is \"Mamba3\"");
  expect_refused("import --from theirs --out theirs", "--out: is what is imported itself");
  write("theirs/config.json",
        R"({"d_model": 16, "n_layer": 1, "ssm_cfg": {"layer": "Mamba2", "headdim": 8}})");
  expect_refused("import --from theirs --out out", "found none of them");
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(Conversion, ImportTellsOfWeightsThatAreNotFinite) {
  auto tensors = made_up_tensors(small_config(), model::StoredType::kF32);
  const auto spoil = [&](size_t i, int64_t place, float value) {
    tensors[i].read = [read = tensors[i].read, place, value](int64_t begin, int64_t count,
                                                             void* target) {
      read(begin, count, target);
      if (place >= begin && place < begin + count)
        static_cast<float*>(target)[place - begin] = value;
    };
  };
  model::write_model_folder(small_config(), tensors, folder_ / "good", {});
  expect_done("import --from good --out out", "as F32");
  spoil(3, 0, std::numeric_limits<float>::quiet_NaN());
  model::write_model_folder(small_config(), tensors, folder_ / "one", {});
  const Result one = run("import --from one --out out");
  EXPECT_EQ(one.exit_code, 0);
  EXPECT_EQ(one.err, "longhaul: note: one/model.safetensors: tensor \"" + tensors[3].name +
                         "\": NaN or infinite in 1 place\n");
  spoil(3, 2, std::numeric_limits<float>::infinity());
  spoil(5, 1, -std::numeric_limits<float>::infinity());
  model::write_model_folder(small_config(), tensors, folder_ / "three", {});
  EXPECT_THAT(run("import --from three --out out --dtype bfloat16").err,
              HasSubstr(tensors[3].name + "\" and 1 more: NaN or infinite in 3 places\n"));
}

TEST_F(Conversion, ExportRefusesATokenizerThatIsNone) {
  model::write_model_folder(small_config(),
                            made_up_tensors(small_config(), model::StoredType::kF32),
                            folder_ / "base", {});
  fs::create_directory(folder_ / "t");
  const auto expect_told = [&](const std::string& json, const std::string& what) {
    write("t/tokenizer.json", json);
    expect_refused("export --model base --tokenizer t --out out", "t/tokenizer.json: " + what);
  };
  expect_told(R"({"model": []})", "model: is [], expected an object");
  const std::string expected = ", expected 0 to 2147483647";
  for (const std::string id : {"9223372036854775807", "18446744073709551615", "2147483648", "-1"}) {
    expect_told(R"({"model": {"vocab": {"a": )" + id + "}}}", "a token's id is " + id + expected);
    expect_told(R"({"added_tokens": [{"id": )" + id + "}]}", "a token's id is " + id + expected);
  }
}

TEST_F(Conversion, ImportTakesTheDefaultsOfWhatAConfigLeavesOut) {
  model::write_model_folder(small_config(),
                            made_up_tensors(small_config(), model::StoredType::kF32),
                            folder_ / "base", {});
  std::string config = text_of(folder_ / "base/config.json"), kept;
  for (size_t begin = 0; begin < config.size();) {
    const size_t end = config.find('\n', begin) + 1;
    if (config.substr(begin, end - begin).find("_token_id") == std::string::npos)
      kept += config.substr(begin, end - begin);
    begin = end;
  }
  write("base/config.json", kept);
  expect_done("import --from base --out out", "as F32");
  EXPECT_THAT(text_of(folder_ / "out/config.json"),
              HasSubstr("\"pad_token_id\": 1,\n  \"bos_token_id\": 0,\n  \"eos_token_id\": 2,"));
}

TEST_F(Conversion, ExportsAndComesBackBitExact) {
  const auto tensors = made_up_tensors(small_config(), model::StoredType::kF32);
  model::write_model_folder(small_config(), tensors, folder_ / "base", {});
  const auto weights = weights_of("base");
  const std::string file = text_of(folder_ / "base/model.safetensors");
  for (const char* format : {"hf", "state-spaces", "state-spaces-safetensors"}) {
    const std::string out = format;
    expect_done("export --model base --format " + out + " --out " + out, " parameters as F32");
    expect_done("import --from " + out + " --out back-" + out, "as F32");
    EXPECT_EQ(text_of(folder_ / ("back-" + out) / "model.safetensors"), file) << format;
  }
  expect_done("export --model base --format hf --dtype bfloat16 --shard-bytes 4000 --out shards",
              "as BF16");
  EXPECT_TRUE(fs::exists(folder_ / "shards/model.safetensors.index.json"));
  expect_done("export --model shards --format state-spaces --out bf16", "as BF16");
  expect_done("import --from bf16 --out again", "as BF16");
  EXPECT_EQ(weights_of("again"), weights_of("shards"));
  expect_done("export --model base --format gguf --tokenizer none --out m.gguf", "as F32");
  expect_done("export --model m.gguf --format gguf --tokenizer none --out n.gguf", "as F32");
  expect_done("import --from m.gguf --out from-gguf", "from the GGUF format");
  EXPECT_EQ(weights_of("from-gguf").size(), weights.size());
}

TEST_F(Conversion, EveryFormatIsInspected) {
  model::write_model_folder(small_config(),
                            made_up_tensors(small_config(), model::StoredType::kF32),
                            folder_ / "base", {});
  ASSERT_EQ(run("export --model base --format state-spaces --out ss").exit_code, 0);
  ASSERT_EQ(
      run("export --model base --format gguf --tokenizer none --dtype q8_0 --out m.gguf").exit_code,
      0);
  EXPECT_THAT(run("inspect base").out, HasSubstr("stored: F32, Hugging Face format"));
  EXPECT_THAT(run("inspect ss").out, HasSubstr("stored: F32, state-spaces format"));
  const Result torch = run("inspect ss/pytorch_model.bin");
  EXPECT_THAT(torch.out, HasSubstr("torch file     21 tensors"));
  EXPECT_THAT(torch.out, HasSubstr("backbone.embedding.weight  F32 [16, 32]"));
  EXPECT_THAT(torch.out, HasSubstr("lm_head.weight is backbone.embedding.weight"));
  const Result gguf = run("inspect m.gguf");
  EXPECT_THAT(gguf.out, HasSubstr("general.architecture: \"mamba2\""));
  EXPECT_THAT(gguf.out, HasSubstr("blk.0.ssm_in.weight  Q8_0 [144, 32]"));
  fs::remove(folder_ / "ss/pytorch_model.bin");
  EXPECT_THAT(run("inspect ss").out, HasSubstr("stored: not usable: ss: expected"));
  expect_refused("inspect ss/config.json", "ss/config.json: is a text file, expected a run, token");
  write("run.yaml", kRecall);
  expect_refused("inspect run.yaml", "of a run's YAML longhaul train --dry-run tells");
  write("short", std::string(7, '\0'));
  expect_refused("inspect short", "short");
}

TEST_F(Conversion, ExportRefusesWhatAFormatCannotExpress) {
  model::ModelConfig config = small_config();
  config.mlp_width = 128;
  config.linear_bias = true;
  model::write_model_folder(config, made_up_tensors(config, model::StoredType::kF32),
                            folder_ / "base", {});
  expect_refused("export --model base --format hf --out out", "has no MLP");
  expect_refused("export --model base --format gguf --tokenizer none --out out",
                 "no biases on the projections", 2);
  expect_refused("export --model base --format gguf --out out", "holds no tokenizer.json");
  expect_refused("export --model base --dtype q8_0 --out out", "q8_0 is there for gguf only");
  expect_refused("export --model base --tokenizer nowhere --out out", "--tokenizer: found");
  expect_done("export --model base --format state-spaces --out theirs", "as F32");
  expect_refused("export --model base --format state-spaces --out theirs", "not empty");
  EXPECT_FALSE(fs::exists(folder_ / "out"));
  write("base/pytorch_model.bin", "");
  expect_refused("export --model base --out base", "--out: is the model itself");
}

/// Peak memory of the program in bytes.
int64_t peak_memory(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }
  int status = 0;
  rusage usage{};
  EXPECT_EQ(::wait4(child, &status, 0, &usage), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return usage.ru_maxrss * 1024;
}

TEST_F(Conversion, MemoryDoesNotGrowWithTheModel) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "a sanitizer keeps freed memory";
#endif
  model::ModelConfig config = small_config();
  config.vocabulary = 260'000;
  config.width = 128;
  config.heads = 32;
  config.layers = 200;  // 130 MB of embeddings, 85 MB of layers
  const auto tensors = made_up_tensors(config, model::StoredType::kF32);
  int64_t total = 0;
  for (const auto& tensor : tensors) total += tensor.bytes();
  ASSERT_GT(total, int64_t{200} << 20);
  const int64_t nothing = peak_memory({program_, "--help"});
  model::write_state_spaces_folder(config, tensors, folder_ / "theirs",
                                   model::StateSpacesContainer::kTorch, {});
  const auto converted = [&](const std::string& from, const std::string& to) {
    return peak_memory({program_, "import", "--from", folder_ / from, "--out", folder_ / to,
                        "--dtype", "bfloat16"});
  };
  const int64_t margin = int64_t{48} << 20;  // far below the largest tensor, 133 MB
  EXPECT_LT(converted("theirs", "ours") - nothing, margin);
  EXPECT_LT(converted("ours", "again") - nothing, margin);
  EXPECT_LT(peak_memory({program_, "export", "--model", folder_ / "ours", "--format",
                         "state-spaces", "--out", folder_ / "exported"}) -
                nothing,
            margin);
  EXPECT_EQ(text_of(folder_ / "ours/config.json"), text_of(folder_ / "again/config.json"));
}

}  // namespace
}  // namespace longhaul::launch
