#include "model/checkpoint/model_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "kernels/core/random.h"
#include "model/architecture.h"
#include "model/checkpoint/model_parts.h"
#include "model/checkpoint/safetensors.h"
#include "model/checkpoint/weight_files.h"
#include "tests/model/full_disk.h"
#include "tests/model/scratch_folder.h"

namespace longhaul::model {
namespace {

using core::DType;
using ::testing::AllOf;
using testing::content_of;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::input_error_of;
using testing::names_in;
using testing::put_content;

class ModelFolder : public ::testing::Test {
 protected:
  ModelFolder() {
    config_.vocabulary = 11;
    config_.width = 6;
    config_.heads = 4;
    config_.head_dim = 3;
    config_.state_dim = 5;
    config_.groups = 2;
  }

  ParameterSet parameters(DType dtype = DType::kF32) {
    return ParameterSet(context_, dtype, parameters_of(config_));
  }
  /// Random values; `narrow`: with 8 bits of mantissa, which every stored type holds.
  ParameterSet random_parameters(bool narrow = false) {
    ParameterSet set = parameters();
    const core::RandomKey key{.seed = 5, .step = 0, .purpose = core::RandomPurpose::kTest};
    for (const Parameter& parameter : set.list()) {
      float* values = set.value(parameter).data<float>();
      for (int64_t i = 0; i < parameter.elements(); ++i) {
        const auto value = static_cast<float>(
            core::uniform(key, static_cast<uint64_t>(parameter.begin + i)) + 0.5);
        values[i] = narrow ? static_cast<float>(core::BFloat16(value)) : value;
      }
    }
    return set;
  }
  static bool equal(const ParameterSet& a, const ParameterSet& b) {
    return a.values().bytes() == b.values().bytes() &&
           std::memcmp(a.values().raw(), b.values().raw(),
                       static_cast<size_t>(a.values().bytes())) == 0;
  }
  std::filesystem::path folder() const { return scratch_ / "model"; }
  std::string load_refusal() {
    return input_error_of([&] { load_weights(folder(), config_.tied, parameters()); });
  }
  /// Tensors as stored, for a test to change before it writes them.
  static std::vector<TensorToStore> tensors_of(const ParameterSet& set) {
    std::vector<TensorToStore> tensors;
    for (const Parameter& parameter : set.list()) {
      tensors.push_back({parameter.name, set.value(parameter), StoredType::kF32});
    }
    return tensors;
  }
  void write_folder(const std::vector<TensorToStore>& tensors) const {
    std::filesystem::create_directories(folder());
    write_safetensors(folder() / "model.safetensors", tensors);
  }

  core::Context context_{core::Device{}, 1};
  testing::ScratchFolder scratch_;
  ModelConfig config_;
};

TEST_F(ModelFolder, RoundTripsBitExact) {
  const ParameterSet saved = random_parameters();
  save_model_parts(config_, saved, folder());
  EXPECT_THAT(names_in(folder()), ElementsAre("config.json", "model.safetensors"));
  const ModelConfig config = read_model_config(folder());
  EXPECT_EQ(config.heads, 4);
  EXPECT_EQ(config.groups, 2);
  const ParameterSet loaded = parameters();
  load_weights(folder(), config.tied, loaded);
  EXPECT_TRUE(equal(loaded, saved));
}

class StoredAs : public ModelFolder, public ::testing::WithParamInterface<const char*> {};

TEST_P(StoredAs, ValuesThatTheTypeHoldsRoundTripBitExact) {
  const ParameterSet saved = random_parameters(true);
  save_model_parts(config_, saved, folder(), {.dtype = GetParam(), .shard_bytes = 1 << 30});
  EXPECT_THAT(content_of(folder() / "config.json"),
              HasSubstr("\"torch_dtype\": \"" + std::string(GetParam()) + "\""));
  const ParameterSet loaded = parameters(), wide = parameters(DType::kF64);
  load_weights(folder(), true, loaded);
  load_weights(folder(), true, wide);
  EXPECT_TRUE(equal(loaded, saved));
  for (int64_t i = 0; i < saved.values().elements(); ++i) {
    ASSERT_EQ(wide.values().data<double>()[i],
              static_cast<double>(saved.values().data<float>()[i]));
  }
}

INSTANTIATE_TEST_SUITE_P(Types, StoredAs, ::testing::Values("float32", "bfloat16", "float16"),
                         [](const auto& info) { return std::string(info.param); });

TEST_F(ModelFolder, ShardsRoundTripAndAreIndexed) {
  const ParameterSet saved = random_parameters();
  save_model_parts(config_, saved, folder(), {.dtype = "float32", .shard_bytes = 2000});
  const auto index = nlohmann::json::parse(content_of(folder() / "model.safetensors.index.json"));
  EXPECT_EQ(index["metadata"]["total_size"], saved.count() * 4);
  EXPECT_EQ(index["weight_map"].size(), saved.list().size());
  std::set<std::string> shards;
  for (const auto& [name, file] : index["weight_map"].items()) {
    EXPECT_NE(SafetensorsFile(folder() / file).find(name), nullptr) << name;
    shards.insert(file);
  }
  ASSERT_GT(shards.size(), 2u);
  for (const std::string& shard : shards) {
    const SafetensorsFile file(folder() / shard);
    EXPECT_THAT(shard, HasSubstr("-of-0000" + std::to_string(shards.size()) + ".safetensors"));
    EXPECT_TRUE(file.tensors().size() == 1 || file.tensors().back().end <= 2000) << shard;
  }
  EXPECT_FALSE(std::filesystem::exists(folder() / "model.safetensors"));
  const ParameterSet loaded = parameters();
  load_weights(folder(), true, loaded);
  EXPECT_TRUE(equal(loaded, saved));
}

TEST_F(ModelFolder, FewerShardsLeaveNoOldOnesBehind) {
  save_model_parts(config_, random_parameters(), folder(),
                   {.dtype = "float32", .shard_bytes = 2000});
  put_content(folder() / "tokenizer.json", "{}");
  save_model_parts(config_, random_parameters(), folder());
  EXPECT_THAT(names_in(folder()),
              ElementsAre("config.json", "model.safetensors", "tokenizer.json"));
}

TEST_F(ModelFolder, NamesEverythingThatIsWrongTogether) {
  const ParameterSet set = random_parameters();
  auto tensors = tensors_of(set);
  const core::Tensor integers = core::Tensor::zeros(context_, DType::kI32, {4});
  const core::Tensor extra = core::Tensor::zeros(context_, DType::kF32, {2, 2});
  for (TensorToStore& tensor : tensors) {
    if (tensor.name == "backbone.norm_f.weight") tensor.view = extra.view();
    if (tensor.name == "backbone.layers.0.mixer.D") {
      tensor = {tensor.name, integers, StoredType::kI64};
    }
  }
  std::erase_if(tensors, [](const TensorToStore& tensor) {
    return tensor.name == "backbone.layers.1.mixer.A_log";
  });
  tensors.push_back({"backbone.layers.2.mixer.D", extra, StoredType::kF32});
  write_folder(tensors);
  EXPECT_THAT(load_refusal(),
              AllOf(HasSubstr("\"backbone.norm_f.weight\": is [2, 2], expected [6]"),
                    HasSubstr("\"backbone.layers.0.mixer.D\": is I64, expected a floating type"),
                    HasSubstr("\"backbone.layers.1.mixer.A_log\" [4]: missing"),
                    HasSubstr("\"backbone.layers.2.mixer.D\" [2, 2]: unexpected"),
                    HasSubstr(folder().string())));
}

TEST_F(ModelFolder, ARefusedModelFillsNothing) {
  const ParameterSet set = random_parameters();
  auto tensors = tensors_of(set);
  tensors.pop_back();
  write_folder(tensors);
  const ParameterSet target = parameters();
  input_error_of([&] { load_weights(folder(), true, target); });
  EXPECT_TRUE(equal(target, parameters()));
}

TEST_F(ModelFolder, ReadsTheSingularNameOfTheEmbedding) {
  const ParameterSet set = random_parameters();
  auto tensors = tensors_of(set);
  tensors.front().name = "backbone.embedding.weight";
  write_folder(tensors);
  const ParameterSet loaded = parameters();
  load_weights(folder(), true, loaded);
  EXPECT_TRUE(equal(loaded, set));
  tensors.push_back(tensors.front());
  tensors.back().name = "backbone.embeddings.weight";
  write_folder(tensors);
  EXPECT_THAT(load_refusal(), HasSubstr("is there twice"));
}

TEST_F(ModelFolder, ATiedHeadMustEqualTheEmbedding) {
  const ParameterSet set = random_parameters();
  auto tensors = tensors_of(set);
  tensors.push_back({"lm_head.weight", set.value(set.list().front()), StoredType::kF32});
  write_folder(tensors);
  const ParameterSet loaded = parameters();
  load_weights(folder(), true, loaded);
  EXPECT_TRUE(equal(loaded, set));
  const core::Tensor other = core::Tensor::copy_of(context_, tensors.back().view);
  other.data<float>()[65] += 1;
  tensors.back().view = other;
  write_folder(tensors);
  EXPECT_THAT(load_refusal(), HasSubstr("\"lm_head.weight\": differs from"));
  tensors.back().view = core::TensorView(other.data<float>(), DType::kF32, {6, 11});
  write_folder(tensors);
  EXPECT_THAT(load_refusal(), HasSubstr("\"lm_head.weight\": is [6, 11], expected [11, 6]"));
}

TEST_F(ModelFolder, AnUntiedHeadIsRequiredAndLoaded) {
  save_model_parts(config_, random_parameters(), folder());
  config_.tied = false;
  EXPECT_THAT(load_refusal(), HasSubstr("\"lm_head.weight\" [11, 6]: missing"));
  const ParameterSet saved = random_parameters();
  save_model_parts(config_, saved, folder());
  const ParameterSet loaded = parameters();
  load_weights(folder(), read_model_config(folder()).tied, loaded);
  EXPECT_TRUE(equal(loaded, saved));
}

TEST_F(ModelFolder, SaysWhatIsMissing) {
  EXPECT_THAT(load_refusal(), HasSubstr("no such folder"));
  std::filesystem::create_directory(folder());
  EXPECT_THAT(load_refusal(), HasSubstr("found none of them"));
  put_content(folder() / "pytorch_model.bin", "");
  EXPECT_THAT(load_refusal(), HasSubstr("pytorch_model.bin: is no file of torch.save"));
  EXPECT_THAT(input_error_of([&] { read_model_config(folder()); }),
              HasSubstr("config.json: cannot be read: No such file"));
}

class Index : public ModelFolder {
 protected:
  void write_index(const std::string& text) {
    std::filesystem::create_directories(folder());
    put_content(folder() / "model.safetensors.index.json", text);
  }
};

TEST_F(Index, FilesOutsideTheFolderAreRefused) {
  save_model_parts(config_, random_parameters(), scratch_ / "outside");
  for (const char* file : {"../outside/model.safetensors", "..", ".", "", "/etc/passwd",
                           "sub/model.safetensors", "a\\\\b", "a\\u0000b"}) {
    write_index(R"({"weight_map": {"backbone.norm_f.weight": ")" + std::string(file) + "\"}}");
    EXPECT_THAT(load_refusal(),
                AllOf(HasSubstr("index.json: weight_map: \"backbone.norm_f.weight\""),
                      HasSubstr("expected the name of a file in this folder")))
        << file;
  }
}

TEST_F(Index, IsHeldAgainstTheShards) {
  const ParameterSet set = random_parameters();
  save_model_parts(config_, set, folder(), {.dtype = "float32", .shard_bytes = 2000});
  auto index = nlohmann::json::parse(content_of(folder() / "model.safetensors.index.json"));
  const std::string shard = index["weight_map"]["backbone.norm_f.weight"];
  index["weight_map"].erase("backbone.norm_f.weight");
  index["weight_map"]["backbone.imaginary"] = shard;
  write_index(index.dump());
  EXPECT_THAT(load_refusal(),
              AllOf(HasSubstr(shard + ": tensor \"backbone.norm_f.weight\": is not this file's"),
                    HasSubstr(shard + ": tensor \"backbone.imaginary\": missing")));
  std::filesystem::remove(folder() / shard);
  EXPECT_THAT(load_refusal(), HasSubstr(shard + ": cannot be read: No such file"));
}

TEST_F(Index, GarbageIsRefused) {
  for (const char* text : {"", "[]", "{}", R"({"weight_map": 3})", R"({"weight_map": {"a": 3}})"}) {
    write_index(text);
    EXPECT_THAT(load_refusal(), HasSubstr("index.json: ")) << text;
  }
}

TEST_F(ModelFolder, ForeignFoldersAreNotReplaced) {
  const auto save = [&] { save_model_parts(config_, random_parameters(), folder()); };
  std::filesystem::create_directory(folder());
  save();  // an empty folder is nobody's
  std::filesystem::remove_all(folder());
  std::filesystem::create_directory(folder());
  put_content(folder() / "thesis.tex", "years of work");
  EXPECT_THAT(input_error_of(save), HasSubstr("is no folder of a Mamba or Mamba-2 model"));
  put_content(folder() / "config.json", R"({"model_type": "llama"})");
  put_content(folder() / "model.safetensors", "llama");
  EXPECT_THAT(input_error_of(save), AllOf(HasSubstr("not replaced"), HasSubstr("\"llama\"")));
  EXPECT_EQ(content_of(folder() / "thesis.tex"), "years of work");
  EXPECT_EQ(content_of(folder() / "model.safetensors"), "llama");
  EXPECT_THAT(names_in(scratch_.path()), ElementsAre("model"));
}

TEST_F(ModelFolder, AFullDiskKeepsTheOldModel) {
  const ParameterSet saved = random_parameters();
  save_model_parts(config_, saved, folder());
  {
    const testing::FullDisk disk(4096);
    EXPECT_THAT(error_of([&] { save_model_parts(config_, parameters(), folder()); }),
                HasSubstr("model.safetensors: cannot be written: File too large"));
  }
  const ParameterSet loaded = parameters();
  load_weights(folder(), true, loaded);
  EXPECT_TRUE(equal(loaded, saved));
  EXPECT_THAT(names_in(scratch_.path()), ElementsAre("model"));
}

TEST_F(ModelFolder, AnInterruptedSaveDisturbsNobodyAndIsCleanedUp) {
  const ParameterSet saved = random_parameters();
  save_model_parts(config_, saved, folder());
  std::filesystem::create_directory(scratch_ / ".model.longhaul-partial");
  put_content(scratch_ / ".model.longhaul-partial" / "model.safetensors", "half");
  const ParameterSet loaded = parameters();
  load_weights(folder(), true, loaded);
  EXPECT_TRUE(equal(loaded, saved));
  save_model_parts(config_, saved, folder());
  EXPECT_THAT(names_in(scratch_.path()), ElementsAre("model"));
}

TEST_F(ModelFolder, RefusesADtypeItCannotStoreAndValuesThatDoNotFit) {
  const ParameterSet set = random_parameters();
  EXPECT_THAT(input_error_of([&] {
                save_model_parts(config_, set, folder(), {.dtype = "int8", .shard_bytes = 1});
              }),
              HasSubstr("is \"int8\""));
  set.value(*set.find("backbone.norm_f.weight")).data<float>()[3] = 1e6f;
  EXPECT_THAT(input_error_of([&] {
                save_model_parts(config_, set, folder(),
                                 {.dtype = "float16", .shard_bytes = 1 << 30});
              }),
              AllOf(HasSubstr("\"backbone.norm_f.weight\""), HasSubstr("element 3 is 1e+06")));
  EXPECT_TRUE(names_in(scratch_.path()).empty());
}

TEST_F(ModelFolder, ALanguageModelGoesThrough) {
  LanguageModel model(context_, config_);
  const ParameterSet values = random_parameters();
  core::copy(context_, values.values(), model.parameters().values());
  save_model(model, folder());
  const auto loaded = load_model(context_, folder(), DType::kF32);
  EXPECT_TRUE(equal(loaded->parameters(), values));
  EXPECT_EQ(loaded->config().vocabulary, 11);
}

}  // namespace
}  // namespace longhaul::model
