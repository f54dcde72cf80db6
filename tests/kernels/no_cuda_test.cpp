// What a build without CUDA says; not part of others.
#include <gtest/gtest.h>

#include <string>

#include "kernels/core/context.h"
#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"
#include "kernels/linear/linear.h"

namespace longhaul::kernels {
namespace {

TEST(NoCuda, OpsThrow) {
  core::Context context({}, 1);
  EXPECT_THROW(cuda::linear_forward(context, {}), core::Error);
}

TEST(NoCuda, TheReasonIsTheBuild) {
  EXPECT_FALSE(core::cuda_available());
  EXPECT_NE(std::string(core::cuda_unavailable_reason()).find("built without CUDA"),
            std::string::npos);
}

}  // namespace
}  // namespace longhaul::kernels
