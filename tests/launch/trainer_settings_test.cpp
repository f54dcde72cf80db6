#include "launch/trainer_settings.h"

#include <gtest/gtest.h>

namespace longhaul::launch {
namespace {

TEST(TrainerSettings, BucketsAreLargerOnGpusUnlessTheirSizeIsGiven) {
  ParallelSection parallel;
  EXPECT_EQ(bucket_bytes(parallel, core::DeviceKind::kCpu), int64_t{4} << 20);
  EXPECT_EQ(bucket_bytes(parallel, core::DeviceKind::kCuda), int64_t{32} << 20);
  for (const double mib : {0.5, 8.0}) {
    parallel.bucket_mib = mib;
    EXPECT_EQ(bucket_bytes(parallel, core::DeviceKind::kCuda), static_cast<int64_t>(mib * 1048576));
  }
  parallel.bucket_mib = 1e-3;  // the smallest that is taken
  EXPECT_EQ(bucket_bytes(parallel, core::DeviceKind::kCpu), 1048);
}

}  // namespace
}  // namespace longhaul::launch
