// Every YAML of configs/ is read without a problem.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "kernels/core/error.h"
#include "launch/babilong_wording.h"
#include "launch/run_config.h"
#include "launch/run_rules.h"

namespace longhaul::launch {
namespace {

constexpr const char* kPrompts = "prompts.yaml";  // of launch/babilong_wording.h

/// Of runs.
std::vector<std::string> config_files() {
  std::vector<std::string> files;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(std::string(SOURCE_DIR) + "/configs")) {
    const auto& path = entry.path();
    if (path.extension() == ".yaml" && path.filename() != kPrompts) files.push_back(path.string());
  }
  return files;
}

TEST(Configs, AreReadWithoutAProblem) {
  const auto files = config_files();
  EXPECT_GE(files.size(), 4u);
  for (const auto& file : files) {
    try {
      read_run_config(file);
    } catch (const core::InputError& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST(Configs, PromptsShowTwoExamples) {
  const data::BabilongWording wording =
      read_babilong_wording(std::string(SOURCE_DIR) + "/configs/small/few_shot/" + kPrompts);
  EXPECT_EQ(wording.tasks[0].examples.size(), 2u);
}

TEST(Configs, OfTheQuickstartSuitOneAndTwoRanks) {
  for (const char* name :
       {"quickstart/base", "quickstart/arm", "small/recall/base", "small/recall/arm"}) {
    const RunConfig config =
        read_run_config(std::string(SOURCE_DIR) + "/configs/" + name + ".yaml");
    EXPECT_NO_THROW(check_against_world(config, 1)) << name;
    EXPECT_NO_THROW(check_against_world(config, 2)) << name;
  }
}

}  // namespace
}  // namespace longhaul::launch
