// Convolution and RMSNorm on the device against cuDNN's: a second oracle, which shares no code with
// the CPU's.
#include <cmath>

#include "bench/cudnn/cudnn_ops.h"
#include "kernels/core/error.h"
#include "tests/kernels/conv_case.h"
#include "tests/kernels/device/device_test.h"
#include "tests/kernels/norm_case.h"

namespace longhaul::testing {
namespace {

using core::Context;
using core::Tensor;

class Cudnn : public DeviceTest {
 protected:
  void SetUp() override {
    DeviceTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    const std::string missing = bench::cudnn_unavailable_reason(Context(kCuda));
    if (!missing.empty()) GTEST_SKIP() << missing;
  }
};

/// Runs what `make` plans; false, with the reason shown, where cuDNN has no engine for it.
template <class Make>
bool run(const Make& make) {
  try {
    make().run();
    return true;
  } catch (const core::Error& error) {
    ::testing::Test::RecordProperty("cudnn", error.what());
    std::cout << "[  NOTE    ] " << error.what() << "\n";
    return false;
  }
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// The K − 1 rows of the state in front of each sequence.
std::vector<double> with_state(const Conv& conv, const Values& in) {
  const auto rows = [&](const std::string& name, int64_t b, int64_t count) {
    const auto begin = in.at(name).begin() + b * count * conv.channels;
    return std::vector<double>(begin, begin + count * conv.channels);
  };
  std::vector<double> all;
  for (int64_t b = 0; b < conv.batch; ++b) {
    for (const auto& part : {rows("state", b, conv.taps - 1), rows("x", b, conv.length)}) {
      all.insert(all.end(), part.begin(), part.end());
    }
  }
  return all;
}

/// What cuDNN says of `conv`, in the names of Conv; empty where it has no engine.
Values cudnn_of(const Conv& conv, const Values& in, const Values& up) {
  Context context(kCuda);
  const core::Shape longer{conv.batch, conv.length + conv.taps - 1, conv.channels},
      shape{conv.batch, conv.length, conv.channels}, taps{conv.channels, conv.taps};
  const Tensor x = tensor_of(context, conv.dtype, longer, with_state(conv, in));
  const Tensor weight = tensor_of(context, conv.dtype, taps, in.at("weight"));
  const Tensor y(context, conv.dtype, shape);
  if (!run([&] { return bench::cudnn_depthwise(context, x, weight, y); })) return {};
  std::vector<double> before = values_of(y), out(before.size()), dbefore(before.size());
  for (size_t i = 0; i < before.size(); ++i) {
    before[i] += in.at("bias")[i % static_cast<size_t>(conv.channels)];
    const double s = sigmoid(before[i]);
    out[i] = before[i] * s;
    dbefore[i] = up.at("y")[i] * s * (1 + before[i] * (1 - s));
  }
  const Tensor dy = tensor_of(context, conv.dtype, shape, dbefore);
  const Tensor dx(context, conv.dtype, longer), dweight(context, conv.dtype, taps);
  if (!run([&] { return bench::cudnn_depthwise_dx(context, dy, weight, dx); })) return {};
  if (!run([&] { return bench::cudnn_depthwise_dweight(context, x, dy, dweight); })) return {};
  const core::TensorView all = dx;
  return {{"y", out},
          {"dx", values_of(all.slice(1, conv.taps - 1, longer[1]))},
          {"dstate", values_of(all.slice(1, 0, conv.taps - 1))},
          {"dweight", values_of(dweight)}};
}

TEST_F(Cudnn, CausalConvolution) {
  int compared = 0;
  for (const Precision& precision : {kSingle, kHalf}) {
    SCOPED_TRACE(name_of(precision.dtype));
    Conv conv{.batch = 2, .length = 65, .channels = 64, .taps = 4};
    conv.dtype = precision.dtype;
    conv.device = kCuda;
    const Values in = rounded(conv.inputs(), precision.dtype);
    const Values up = {
        {"y",
         rounded(random_values(conv.batch * conv.length * conv.channels, 11), precision.dtype)},
        {"final", std::vector<double>(
                      static_cast<size_t>(conv.batch * (conv.taps - 1) * conv.channels), 0.0)}};
    const Values cudnn = cudnn_of(conv, in, up);
    if (cudnn.empty()) continue;
    ++compared;
    const Values gradients = conv.backward(in, up);
    EXPECT_TRUE(close(conv.forward(in).at("y"), cudnn.at("y"), precision.tolerance));
    EXPECT_TRUE(close(gradients.at("x"), cudnn.at("dx"), precision.tolerance));
    EXPECT_TRUE(close(gradients.at("state"), cudnn.at("dstate"), precision.tolerance));
    EXPECT_TRUE(close(gradients.at("weight"), cudnn.at("dweight"), precision.tolerance));
  }
  if (compared == 0) GTEST_SKIP() << "cuDNN has no engine for depthwise convolutions here";
}

TEST_F(Cudnn, RmsNorm) {
  int compared = 0;
  for (const Precision& precision : {kSingle, kHalf}) {
    SCOPED_TRACE(name_of(precision.dtype));
    Norm norm{.rows = 66, .width = 768, .with_x = false};
    norm.dtype = precision.dtype;
    norm.device = kCuda;
    const Values in = rounded(norm.inputs(), precision.dtype);
    const Values up = {{"y", rounded(random_values(norm.rows * norm.width, 12), precision.dtype)},
                       {"sum", std::vector<double>(static_cast<size_t>(norm.rows * norm.width))}};
    Context context(kCuda);
    const core::Shape shape{norm.rows, norm.width};
    const Tensor x = tensor_of(context, norm.dtype, shape, in.at("residual")),
                 weight = tensor_of(context, norm.dtype, {norm.width}, in.at("weight")),
                 dy = tensor_of(context, norm.dtype, shape, up.at("y"));
    const Tensor y(context, norm.dtype, shape), dx(context, norm.dtype, shape),
        dweight(context, norm.dtype, {norm.width}), rstd(context, core::DType::kF32, {norm.rows});
    const bench::CudnnRmsNorm args{
        .x = x, .weight = weight, .rstd = rstd, .y = y, .dy = dy, .dx = dx, .dweight = dweight};
    if (!run([&] {
          return bench::cudnn_rms_norm(context, args, static_cast<float>(kNormEpsilon));
        })) {
      continue;
    }
    ++compared;
    EXPECT_TRUE(close(norm.forward(in).at("y"), values_of(y), precision.tolerance));
    if (!run([&] { return bench::cudnn_rms_norm_backward(context, args); })) continue;
    const Values gradients = norm.backward(in, up);
    EXPECT_TRUE(close(gradients.at("residual"), values_of(dx), precision.tolerance));
    EXPECT_TRUE(close(gradients.at("weight"), values_of(dweight), precision.tolerance));
  }
  if (compared == 0) GTEST_SKIP() << "cuDNN has no engine for RMSNorm here";
}

}  // namespace
}  // namespace longhaul::testing
