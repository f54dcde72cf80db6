#include "launch/rank_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dist/thread_communicator.h"

namespace longhaul::launch {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const RankDevice kFirst{.host = "a", .card = "0000:18:00.0", .lacking = ""};
const RankDevice kSecond{.host = "a", .card = "0000:2a:00.0", .lacking = ""};
const RankDevice kElsewhere{.host = "b", .card = "0000:18:00.0", .lacking = ""};
const RankDevice kNone{.host = "b", .card = "", .lacking = "the driver is too old"};

TEST(RankDevices, OneCardARankOrNoneAtAllIsRight) {
  EXPECT_EQ(device_conflict({kFirst, kSecond, kElsewhere}), "");
  EXPECT_EQ(device_conflict({kNone, kNone}), "");
}

TEST(RankDevices, ARankWithoutACardAmongOthersIsNamedWithTheReason) {
  EXPECT_EQ(device_conflict({kFirst, kSecond, kNone}),
            "device: rank 2 (host b) has no GPU (the driver is too old), rank 0 (host a) has one; "
            "expected one for every rank, or device: cpu");
  EXPECT_THAT(device_conflict({kNone, kFirst}),
              AllOf(HasSubstr("rank 0 (host b) has no GPU"), HasSubstr("rank 1 (host a) has one")));
}

TEST(RankDevices, RanksOnOneCardAreNamed) {
  EXPECT_THAT(device_conflict({kFirst, kElsewhere, kSecond, kFirst}),
              HasSubstr("ranks 0 and 3 (host a) have the same GPU (0000:18:00.0)"));
}

TEST(RankDevices, RanksOnTheCpuAgree) {
  dist::run_thread_ranks(3, [](dist::Communicator& world) { check_devices(world, {}); });
}

}  // namespace
}  // namespace longhaul::launch
