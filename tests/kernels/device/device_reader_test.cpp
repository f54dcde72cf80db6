#include "kernels/core/device_reader.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <thread>
#include <vector>

#include "tests/kernels/device/device_test.h"

namespace longhaul::testing {
namespace {

using DeviceReader = DeviceTest;

std::vector<int32_t> counted(int64_t count, int32_t first) {
  std::vector<int32_t> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), first);
  return values;
}

TEST_F(DeviceReader, BringsEverySizeToTheHostFromAnyThread) {
  core::Context context(kCuda);
  core::DeviceReader reader(context);
  constexpr int64_t kPiece = (16 << 20) / 4;
  int32_t first = 0;
  for (const int64_t count :
       {int64_t{0}, int64_t{1}, int64_t{777}, kPiece - 1, kPiece, kPiece + 1, 3 * kPiece + 5}) {
    const std::vector<int32_t> expected = counted(count, first += 1000);
    const auto source = core::Tensor::from(context, expected, {count});
    std::vector<int32_t> found(expected.size(), -1);
    reader.follow();
    std::thread([&] {
      reader.read(source, core::TensorView(found.data(), core::DType::kI32, {count}));
    }).join();
    EXPECT_TRUE(found == expected) << count;
  }
}

TEST_F(DeviceReader, SeesWhatTheContextDidBefore) {
  core::Context context(kCuda);
  core::DeviceReader reader(context);
  constexpr int64_t kCount = 8 << 20;
  const auto source = core::Tensor::from(context, counted(kCount, 0), {kCount});
  const core::Tensor target(context, core::DType::kI32, {kCount});
  core::copy(context, source, target);  // under way when the reader begins
  reader.follow();
  std::vector<int32_t> found(static_cast<size_t>(kCount));
  reader.read(target, core::TensorView(found.data(), core::DType::kI32, {kCount}));
  EXPECT_TRUE(found == counted(kCount, 0));
}

TEST(DeviceReaderOfTheCpu, Copies) {
  core::Context context({}, 1);
  core::DeviceReader reader(context);
  std::vector<int32_t> source = counted(9, 4), found(9);
  reader.follow();
  reader.read(core::TensorView(source.data(), core::DType::kI32, {9}),
              core::TensorView(found.data(), core::DType::kI32, {9}));
  EXPECT_EQ(found, source);
}

}  // namespace
}  // namespace longhaul::testing
