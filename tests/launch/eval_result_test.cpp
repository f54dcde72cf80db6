// Where the result of an evaluation goes, and what happens where it cannot.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "dist/thread_communicator.h"
#include "kernels/core/error.h"
#include "launch/eval/measure.h"
#include "model/checkpoint/model_folder.h"
#include "tests/launch/program.h"

namespace longhaul::launch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class EvalResult : public Program {
 protected:
  void SetUp() override {
    Program::SetUp();
    write("run.yaml", kRecall);
    ASSERT_EQ(run("train run.yaml").exit_code, 0);
  }
  const std::string eval_ = "eval recall --model run/model --length 128 --sequences 2 --json ";
};

TEST_F(EvalResult, WhatCannotBeWrittenIsRefusedBeforeAnythingIsMeasured) {
  fs::create_directories(folder_ / "taken.json");
  expect_refused(eval_ + "taken.json", "--json: taken.json is a folder, expected a file");
  expect_refused(eval_ + "/proc/taken.json", "--json: /proc/taken.json");
}

TEST_F(EvalResult, OnlyAnEarlierResultOfTheSameMeasureIsReplaced) {
  const std::string weights = text_of(folder_ / "run/model/model.safetensors");
  expect_refused(eval_ + "run/model/model.safetensors",
                 "model.safetensors is there and is no eval");
  expect_refused(eval_ + "run/model/config.json", "config.json is there and is no evaluation");
  EXPECT_EQ(text_of(folder_ / "run/model/model.safetensors"), weights);
  write("a.json", "");
  ASSERT_EQ(run(eval_ + "a.json").exit_code, 0);
  ASSERT_EQ(run(eval_ + "a.json").exit_code, 0);
  expect_refused(
      "eval states --model run/model --run run.yaml --length 64 --sequences 2 --json a.json",
      "a.json is there and is one of recall, expected a new file");
}

TEST_F(EvalResult, APartialFileGoesWithItsResultWritten) {
  ASSERT_EQ(run(eval_ + "a.json").exit_code, 0);
  EXPECT_TRUE(fs::exists(folder_ / "a.json"));
  EXPECT_FALSE(fs::exists(folder_ / "a.json.partial"));
}

TEST_F(EvalResult, WhatWasMeasuredOutlivesAFailureToWriteIt) {
  EvalOptions options;
  options.json = (folder_ / "a.json").string();
  write("a.json.partial", "measured");
  core::Context context({}, 1);
  const auto model = model::load_model(context, folder_ / "run/model", core::DType::kF32);
  dist::run_thread_ranks(1, [&](dist::Communicator& world) {
    const dist::Mesh mesh(world, {1, 1});
    const EvalJob job{.options = options,
                      .mesh = mesh,
                      .model = *model,
                      .is_first = true,
                      .continuation = {.file = options.json + ".partial"}};
    ::testing::internal::CaptureStdout();
    std::string what;
    try {
      publish(job, "the table",
              [](const std::string& file) { throw core::Error(file + ": full"); });
    } catch (const core::Error& error) {
      what = error.what();
    }
    EXPECT_EQ(::testing::internal::GetCapturedStdout(), "the table");
    EXPECT_THAT(what, HasSubstr("a.json: full; what was measured is kept in "));
    EXPECT_THAT(what, HasSubstr("a.json.partial"));
  });
  EXPECT_EQ(text_of(folder_ / "a.json.partial"), "measured");
}

}  // namespace
}  // namespace longhaul::launch
