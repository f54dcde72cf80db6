#include "model/checkpoint/shared_loading.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dist/thread_communicator.h"
#include "kernels/core/error.h"
#include "model/checkpoint/model_folder.h"
#include "tests/model/scratch_folder.h"
#include "tests/model/tiny_model.h"

namespace longhaul::model {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class SharedLoading : public ::testing::Test {
 protected:
  SharedLoading() {
    core::Context context({}, 1);
    LanguageModel model(context, testing::tiny_config());
    testing::randomize(model, 5);
    values_ = testing::values_of(model.parameters().values());
    save_model(model, whole_);
    fs::create_directory(bare_);  // where weights would be, nothing
    fs::copy_file(whole_ / "config.json", bare_ / "config.json");
  }

  testing::ScratchFolder scratch_;
  const fs::path whole_ = scratch_.path() / "whole", bare_ = scratch_.path() / "bare";
  std::vector<double> values_;
};

TEST_F(SharedLoading, TheFirstRankAloneReadsWeights) {
  dist::run_thread_ranks(3, [&](dist::Communicator& world) {
    core::Context context({}, 1);
    const fs::path& folder = world.rank() == 0 ? whole_ : bare_;
    LanguageModel model(context, testing::tiny_config());
    load_parameters(folder, model, world);
    EXPECT_EQ(testing::values_of(model.parameters().values()), values_);
    const auto made = load_model(context, folder, core::DType::kF32, world);
    EXPECT_EQ(testing::values_of(made->parameters().values()), values_);
  });
}

TEST_F(SharedLoading, RoundedCopiesFollowOnEveryRank) {
  dist::run_thread_ranks(2, [&](dist::Communicator& world) {
    core::Context context({}, 1);
    const auto model = load_model(context, whole_, core::DType::kBF16, world);
    std::vector<double> rounded;
    for (const double value : values_) {
      rounded.push_back(static_cast<float>(core::BFloat16(static_cast<float>(value))));
    }
    EXPECT_EQ(testing::values_of(model->parameters().rounded()), rounded);
  });
}

TEST_F(SharedLoading, WhatTheFirstRankCannotReadFailsOnAll) {
  dist::run_thread_ranks(3, [&](dist::Communicator& world) {
    core::Context context({}, 1);
    LanguageModel model(context, testing::tiny_config());
    const fs::path& folder = world.rank() == 0 ? bare_ : whole_;
    const auto problem_of = [](const auto& work) {
      try {
        work();
      } catch (const core::InputError& error) {
        return std::string(error.what());
      }
      return std::string("none");
    };
    EXPECT_THAT(problem_of([&] { load_parameters(folder, model, world); }), HasSubstr("bare"));
    EXPECT_THAT(problem_of([&] { load_model(context, folder, core::DType::kF32, world); }),
                HasSubstr("bare"));
  });
}

}  // namespace
}  // namespace longhaul::model
