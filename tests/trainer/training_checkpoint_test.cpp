// Training checkpoints against damage, interruption and full disks.
#include "trainer/training_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>

#include "model/checkpoint/model_folder.h"
#include "tests/model/full_disk.h"
#include "tests/model/scratch_folder.h"
#include "tests/support/compare.h"
#include "tests/trainer/tiny_run.h"

namespace longhaul::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::AnyOf;
using testing::content_of;
using ::testing::HasSubstr;
using testing::names_in;
using testing::put_content;
using testing::ScratchFolder;
using testing::TinyRun;

/// As programs without a checksum of the manifest itself wrote it, to be changed.
nlohmann::json unsealed_manifest(const fs::path& file) {
  auto manifest = nlohmann::json::parse(content_of(file));
  EXPECT_EQ(manifest.erase("manifest_crc32c"), 1u);
  return manifest;
}

/// A run of two data ranks and two micro-steps a step, interrupted after step 2.
TinyRun interrupted_run(const fs::path& folder) {
  TinyRun run;
  run.mesh = {2, 1};
  run.config.initial_state.source = SourceKind::kStatePassing;
  run.config.batch.accumulation = 2;
  run.interrupt_at = 2;
  EXPECT_EQ(run.train(folder), Ending::kInterrupted);
  run.interrupt_at = 0;
  run.resume = true;
  return run;
}

TEST(TrainingCheckpoint, HoldsTheFilesOfTheFormat) {
  const ScratchFolder folder;
  interrupted_run(folder.path());
  EXPECT_EQ(names_in(folder / "checkpoints/step-2"),
            (std::set<std::string>{"config.json", "manifest.json", "model.safetensors",
                                   "optimizer-0.safetensors", "optimizer-1.safetensors",
                                   "sources-0.safetensors", "sources-1.safetensors"}));
  const auto manifest =
      nlohmann::json::parse(content_of(folder / "checkpoints/step-2/manifest.json"));
  EXPECT_EQ(manifest.at("format"), "longhaul training checkpoint");
  EXPECT_EQ(manifest.at("version"), 1);
  EXPECT_EQ(manifest.at("step"), "2");
  EXPECT_EQ(manifest.at("micro_step"), "4");
  EXPECT_EQ(manifest.at("tokens"), "96");
  EXPECT_EQ(manifest.at("data_ranks"), 2);
  EXPECT_EQ(manifest.at("files").size(), 6u);
}

TEST(TrainingCheckpoint, IsAModelFolder) {
  const ScratchFolder folder;
  interrupted_run(folder.path());
  core::Context context({}, 1);
  const fs::path path = folder / "checkpoints/step-2";
  const auto model = model::load_model(context, path, core::DType::kF64);
  for (const auto& [name, values] : testing::tensors_of(path / "model.safetensors")) {
    const model::Parameter* parameter = model->parameters().find(name);
    ASSERT_NE(parameter, nullptr) << name;
    EXPECT_TRUE(testing::close(model->parameters().value(*parameter), values, 0)) << name;
  }
}

TEST(TrainingCheckpoint, EveryDamagedFileIsNamed) {
  const ScratchFolder folder;
  const TinyRun run = interrupted_run(folder.path());
  const fs::path path = folder / "checkpoints/step-2";
  for (const std::string& name : names_in(path)) {
    const std::string good = content_of(path / name);
    std::string flipped = good;
    flipped[good.size() - 3] = static_cast<char>(flipped[good.size() - 3] ^ 4);
    std::vector<std::string> bad = {flipped, good.substr(0, good.size() / 2), good + "x", ""};
    if (name == "manifest.json") bad = {good.substr(0, good.size() / 2), "", "[]", "{}"};
    for (const std::string& content : bad) {
      put_content(path / name, content);
      const std::string problem = testing::input_error_of([&] { run.train(folder.path()); });
      EXPECT_THAT(problem, HasSubstr("step-2/" + name)) << content.size();
      if (name == "manifest.json") continue;
      const bool same_size = content.size() == good.size();
      EXPECT_THAT(problem, HasSubstr(same_size ? "its CRC-32C is" : " bytes, expected "));
    }
    if (name != "manifest.json") {
      fs::remove(path / name);
      EXPECT_THAT(testing::input_error_of([&] { run.train(folder.path()); }),
                  HasSubstr("step-2/" + name));
    }
    put_content(path / name, good);
  }
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
}

TEST(TrainingCheckpoint, EveryDigitOfTheManifestCounts) {
  const ScratchFolder folder;
  interrupted_run(folder.path());
  const fs::path file = folder / "checkpoints/step-2/manifest.json";
  const std::string good = content_of(file);
  const size_t own_key = good.find("manifest_crc32c"), own_value = good.find(':', own_key);
  int damaged = 0;
  for (size_t i = good.find("\"step\""); i < good.size(); ++i) {
    const bool is_digit = good[i] >= '0' && good[i] <= '9';
    if (!is_digit || (i > own_key && i < own_value)) continue;
    std::string flipped = good;
    flipped[i] = good[i] == '9' ? '8' : static_cast<char>(good[i] + 1);  // no zero to begin with
    put_content(file, flipped);
    EXPECT_THAT(testing::input_error_of([&] { verify_checkpoint(file.parent_path()); }),
                AnyOf(HasSubstr("manifest.json: is damaged: its CRC-32C is"),
                      HasSubstr("for type TYPE_UINT32")))  // a checksum past 32 bits
        << i;
    ++damaged;
  }
  EXPECT_GT(damaged, 50);
  put_content(file, good);
  EXPECT_NO_THROW(verify_checkpoint(file.parent_path()));
}

TEST(TrainingCheckpoint, AnotherFormatAndALaterVersionAreRefused) {
  const ScratchFolder folder;
  const TinyRun run = interrupted_run(folder.path());
  const fs::path file = folder / "checkpoints/step-2/manifest.json";
  const auto good = unsealed_manifest(file);
  auto later = good, other = good;
  later["version"] = 2;
  later["new"] = "of version 2";
  other["format"] = "zip";
  for (const auto& [manifest, expected] :
       {std::pair{later, "version: is 2, expected 1"},
        std::pair{other, "format: is \"zip\", expected \"longhaul training checkpoint\""}}) {
    put_content(file, manifest.dump());
    EXPECT_THAT(testing::input_error_of([&] { run.train(folder.path()); }), HasSubstr(expected));
  }
}

TEST(TrainingCheckpoint, CountersThatCannotBeAreRefused) {
  const ScratchFolder folder;
  const TinyRun run = interrupted_run(folder.path());
  const fs::path file = folder / "checkpoints/step-2/manifest.json";
  const auto good = unsealed_manifest(file);
  const std::string largest = "9223372036854775807";
  for (const auto& [key, value, expected] :
       {std::tuple{"optimizer_steps", largest, "expected from 0 to 2"},
        std::tuple{"skipped", largest, "expected from 0 to 2"},
        std::tuple{"skipped_in_row", std::string("1"), "expected from 0 to 0"},
        std::tuple{"data_ranks", std::string("0"), "expected from 1 to"},
        std::tuple{"sequence_ranks", std::string("0"), "expected from 1 to"},
        std::tuple{"tokens", largest, "expected from 0 to"},
        std::tuple{"micro_step", std::string("-1"), "expected from 0 to"},
        std::tuple{"step", largest, "expected from 0 to"},
        std::tuple{"step", std::string("3"), "step: is 3, expected that of its folder, 2"}}) {
    auto manifest = good;
    manifest[key] = value;
    put_content(file, manifest.dump());
    EXPECT_THAT(testing::input_error_of([&] { run.train(folder.path()); }),
                AllOf(HasSubstr("step-2/manifest.json: " + std::string(key)), HasSubstr(expected)));
  }
}

TEST(TrainingCheckpoint, WhatAKilledWriteLeftIsNotSeenAndRemoved) {
  const ScratchFolder folder;
  const TinyRun run = interrupted_run(folder.path());
  for (const std::string step : {"step-3", "step-4"}) {
    const fs::path partial = folder / ("checkpoints/." + step + ".longhaul-partial");
    fs::copy(folder / "checkpoints/step-2", partial);
    fs::remove(partial / "optimizer-0.safetensors");
  }
  fs::create_directory(folder / "checkpoints/step-9");  // nobody's: no manifest
  put_content(folder / "checkpoints/step-x", "");
  EXPECT_EQ(newest_checkpoint(folder.path()), 2);
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  EXPECT_EQ(names_in(folder / "checkpoints"),
            (std::set<std::string>{"step-2", "step-5", "step-9", "step-x"}));
}

TEST(TrainingCheckpoint, ThereIsNoneInAnEmptyFolder) {
  const ScratchFolder folder;
  EXPECT_EQ(newest_checkpoint(folder.path()), std::nullopt);
  EXPECT_EQ(newest_checkpoint(folder / "missing"), std::nullopt);
}

TEST(TrainingCheckpoint, AFullDiskLeavesTheOlderOneAndNothingElse) {
  const ScratchFolder folder;
  std::unique_ptr<testing::FullDisk> full;
  TinyRun run;
  run.mesh = {2, 1};
  run.config.initial_state.source = SourceKind::kStatePassing;
  run.config.checkpoint = {.every = 1, .background = false};
  run.before_step = [&](int rank, int64_t step, model::LanguageModel&) {
    // The metrics of two steps fit, the sources too, moments and model do not.
    if (rank == 0 && step == 2) full = std::make_unique<testing::FullDisk>(3000);
  };
  const std::string message = testing::error_of([&] { run.train(folder.path()); });
  full.reset();
  EXPECT_THAT(message, HasSubstr("optimizer-0.safetensors: cannot be written"));
  EXPECT_EQ(names_in(folder / "checkpoints"), std::set<std::string>{"step-1"});
  run.before_step = nullptr;
  run.resume = true;
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  EXPECT_EQ(testing::metric(folder.path(), "loss").size(), 5u);
}

TEST(TrainingCheckpoint, TheNewestSoundOneIsUsedIfAskedFor) {
  const ScratchFolder whole, folder;
  TinyRun run;
  run.mesh = {2, 1};
  run.config.initial_state.source = SourceKind::kStatePassing;
  run.config.checkpoint = {.every = 1, .keep = 3};
  run.train(whole.path());
  run.interrupt_at = 4;
  run.train(folder.path());
  run.interrupt_at = 0;
  run.resume = true;
  fs::remove(folder / "checkpoints/step-4/sources-1.safetensors");
  const fs::path shard = folder / "checkpoints/step-3/optimizer-1.safetensors";
  std::string content = content_of(shard);
  content.back() ^= 1;
  put_content(shard, content);
  EXPECT_THAT(testing::input_error_of([&] { run.train(folder.path()); }),
              HasSubstr("step-4/sources-1.safetensors"));
  EXPECT_THAT(testing::input_error_of([&] { verify_checkpoint(folder / "checkpoints/step-3"); }),
              HasSubstr("step-3/optimizer-1.safetensors: is damaged"));
  run.skip_damaged = true;
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
  EXPECT_EQ(
      names_in(folder / "checkpoints"),
      (std::set<std::string>{"step-3", "step-4", "step-5", "damaged-step-3", "damaged-step-4"}));
  for (const std::string& file : names_in(whole / "checkpoints/step-5")) {
    EXPECT_EQ(content_of(folder / ("checkpoints/step-5/" + file)),
              content_of(whole / ("checkpoints/step-5/" + file)))
        << file;
  }
  EXPECT_EQ(testing::timeless_metrics(folder.path()), testing::timeless_metrics(whole.path()));
}

TEST(TrainingCheckpoint, WhereNoneIsSoundAllDamageIsNamed) {
  const ScratchFolder folder;
  TinyRun run = interrupted_run(folder.path());
  run.skip_damaged = true;
  put_content(folder / "checkpoints/step-2/config.json", "{}");
  const std::string message = testing::input_error_of([&] { run.train(folder.path()); });
  EXPECT_THAT(message, HasSubstr("step-2/config.json"));
  EXPECT_THAT(message, HasSubstr("none of its checkpoints is sound"));
  EXPECT_TRUE(fs::exists(folder / "checkpoints/step-2"));
}

TEST(TrainingCheckpoint, AManifestNamesFilesOfItsOwnFolderOnly) {
  const ScratchFolder folder;
  interrupted_run(folder.path());
  const fs::path path = folder / "checkpoints/step-2";
  const auto good = unsealed_manifest(path / "manifest.json");
  for (const std::string name : {"../step-2/config.json", "/etc/passwd", "", "..", "a/b"}) {
    auto manifest = good;
    manifest["files"][0]["name"] = name;
    put_content(path / "manifest.json", manifest.dump());
    EXPECT_THAT(testing::input_error_of([&] { verify_checkpoint(path); }),
                HasSubstr("expected a file of this folder"))
        << name;
  }
  auto manifest = good;
  manifest["files"][0]["bytes"] = "-5";
  put_content(path / "manifest.json", manifest.dump());
  EXPECT_THAT(testing::input_error_of([&] { verify_checkpoint(path); }), HasSubstr("-5 bytes"));
  put_content(path / "manifest.json", good.dump());  // of an earlier program
  EXPECT_NO_THROW(verify_checkpoint(path));
}

TEST(TrainingCheckpoint, WhatIsInItsPlaceIsReplaced) {
  const ScratchFolder folder;
  TinyRun run = interrupted_run(folder.path());
  fs::create_directory(folder / "checkpoints/step-3");  // half removed by someone: no manifest
  put_content(folder / "checkpoints/step-3/model.safetensors", "old");
  put_content(folder / "checkpoints/step-3/sources-7.safetensors", "old");
  run.interrupt_at = 3;
  EXPECT_EQ(run.train(folder.path()), Ending::kInterrupted);
  EXPECT_EQ(names_in(folder / "checkpoints/step-3"), names_in(folder / "checkpoints/step-2"));
  run.interrupt_at = 0;
  EXPECT_EQ(run.train(folder.path()), Ending::kDone);
}

}  // namespace
}  // namespace longhaul::trainer
