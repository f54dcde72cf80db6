// What tests of ops on a CUDA device share: the device, the precisions, and the comparison with the
// CPU in fp64.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/core/cuda_memory.h"
#include "kernels/core/dtype.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"

namespace longhaul::testing {

inline constexpr core::Device kCuda{core::DeviceKind::kCuda, 0};

/// Emulated in one test program, real in another; where there is none, the test is skipped, or
/// fails if LONGHAUL_REQUIRE_GPU is set: on a machine lent for its GPU a skip must not look well.
class DeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (core::cuda_available()) return;
    if (std::getenv("LONGHAUL_REQUIRE_GPU") != nullptr) FAIL() << core::cuda_unavailable_reason();
    GTEST_SKIP() << core::cuda_unavailable_reason();
  }
};

struct Precision {
  core::DType dtype;
  double tolerance;  ///< relative to the largest element
};
inline constexpr Precision kSingle{core::DType::kF32, 2e-5};
inline constexpr Precision kHalf{core::DType::kBF16, 1.5e-2};

/// The values as bf16 or fp32 hold them, so that the oracle starts from the same inputs.
inline std::vector<double> rounded(std::vector<double> values, core::DType dtype) {
  for (double& v : values) {
    const auto single = static_cast<float>(v);
    v = static_cast<double>(dtype == core::DType::kBF16 ? static_cast<float>(core::BFloat16(single))
                                                        : single);
  }
  return values;
}
inline Values rounded(Values values, core::DType dtype) {
  for (auto& [name, one] : values) one = rounded(one, dtype);
  return values;
}

inline void expect_close(const Values& found, const Values& expected, double tolerance) {
  EXPECT_EQ(found.size(), expected.size());
  for (const auto& [name, values] : expected) {
    EXPECT_TRUE(close(found.at(name), values, tolerance)) << name;
  }
}

/// forward and backward of `op` (norm_case.h and its like) on the device against fp64 on the CPU;
/// twice on the device gives the same bits.
template <class Op>
void expect_op(const Op& op, const Values& upstream) {
  for (const Precision& precision : {kSingle, kHalf}) {
    SCOPED_TRACE(name_of(precision.dtype));
    Op here = op, there = op;
    here.dtype = core::DType::kF64;
    there.dtype = precision.dtype;
    there.device = kCuda;
    const Values in = rounded(op.inputs(), precision.dtype);
    const Values up = rounded(upstream, precision.dtype);
    const Values forward = there.forward(in), backward = there.backward(in, up);
    expect_close(forward, here.forward(in), precision.tolerance);
    expect_close(backward, here.backward(in, up), precision.tolerance);
    EXPECT_EQ(there.forward(in), forward);
    EXPECT_EQ(there.backward(in, up), backward);
  }
}

}  // namespace longhaul::testing
