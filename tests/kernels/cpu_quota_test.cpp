#include "kernels/core/cpu_quota.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

#include "kernels/core/context.h"

namespace longhaul::core {
namespace {

namespace fs = std::filesystem;

class CpuQuota : public ::testing::Test {
 protected:
  CpuQuota()
      : root_(fs::path(::testing::TempDir()) / ("longhaul_quota_" + std::to_string(getpid()))) {}
  ~CpuQuota() override { fs::remove_all(root_); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  double quota() const { return cpu_quota(root_ / "self", root_ / "groups"); }

  fs::path root_;
};

TEST_F(CpuQuota, IsTheLeastOfTheGroupsAround) {
  write("self", "0::/slice/job\n");
  EXPECT_EQ(quota(), INFINITY);
  write("groups/slice/job/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), INFINITY);
  write("groups/slice/cpu.max", "250000 100000\n");
  EXPECT_EQ(quota(), 2.5);
  write("groups/cpu.max", "400000 100000\n");
  EXPECT_EQ(quota(), 2.5);
  write("groups/slice/job/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota(), 1.5);
}

TEST_F(CpuQuota, OfAContainerThatSeesItsGroupAsTheRoot) {
  write("self", "0::/not/seen/from/inside\n");
  write("groups/cpu.max", "50000 100000\n");
  EXPECT_EQ(quota(), 0.5);
}

TEST_F(CpuQuota, OfTheFirstVersion) {
  write("self", "9:memory:/job\n4:cpu,cpuacct:/job\n1:cpuset:/other\n");
  write("groups/cpu/job/cpu.cfs_quota_us", "-1\n");
  write("groups/cpu/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), INFINITY);
  write("groups/cpu/job/cpu.cfs_quota_us", "300000\n");
  EXPECT_EQ(quota(), 3);
}

TEST_F(CpuQuota, NonsenseIsNone) {
  EXPECT_EQ(quota(), INFINITY);
  write("self", "nonsense\n\n::\n0::\n0::../../..\n");
  write("groups/cpu.max", "many few\n");
  EXPECT_EQ(quota(), INFINITY);
  write("groups/cpu.max", "100000 0\n");
  EXPECT_EQ(quota(), INFINITY);
}

TEST(AvailableThreads, IsAtLeastOne) { EXPECT_GE(available_threads(), 1); }

}  // namespace
}  // namespace longhaul::core
