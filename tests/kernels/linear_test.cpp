#include "kernels/linear/linear.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <tuple>

#include "kernels/core/error.h"
#include "kernels/linear/gemm_cpu.h"
#include "tests/support/compare.h"
#include "tests/support/gradient_check.h"
#include "tests/support/random_tensor.h"

namespace longhaul::kernels {
namespace {

using core::Context;
using core::DType;
using core::Tensor;
using testing::random_values;
using testing::tensor_of;
using testing::Values;
using testing::values_of;

struct Product {
  bool transpose_a, transpose_b;
  int64_t m, n, k;
  double alpha, beta;
};

void PrintTo(const Product& p, std::ostream* out) {
  *out << (p.transpose_a ? "T" : "N") << (p.transpose_b ? "T" : "N") << "_" << p.m << "x" << p.n
       << "x" << p.k;
}

class GemmTest : public ::testing::TestWithParam<Product> {};

/// Padding between rows is filled with NaN: it must be neither used nor overwritten. C starts as
/// NaN where beta is 0.
template <class T>
void check_product(const Product& p, int threads, double tolerance) {
  const int64_t rows_a = p.transpose_a ? p.k : p.m, columns_a = p.transpose_a ? p.m : p.k;
  const int64_t rows_b = p.transpose_b ? p.n : p.k, columns_b = p.transpose_b ? p.k : p.n;
  Context context({}, threads);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  auto padded = [&](int64_t rows, int64_t columns, uint64_t seed) {
    const Tensor tensor =
        tensor_of(context, core::kDTypeOf<T>, {rows, columns + 3},
                  std::vector<double>(static_cast<size_t>(rows * (columns + 3)), nan));
    testing::assign(tensor.view().slice(1, 0, columns), random_values(rows * columns, seed));
    return Tensor::copy_of(context, tensor);
  };
  const Tensor a = padded(rows_a, columns_a, 1), b = padded(rows_b, columns_b, 2),
               c = padded(p.m, p.n, 3);
  const auto inner = [](const Tensor& t) { return t.view().slice(1, 0, t.extent(1) - 3); };
  const auto av = values_of(inner(a)), bv = values_of(inner(b)), before = values_of(inner(c));
  if (p.beta == 0) testing::assign(inner(c), std::vector<double>(before.size(), nan));
  std::vector<double> expected(before.size());
  for (int64_t i = 0; i < p.m; ++i) {
    for (int64_t j = 0; j < p.n; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < p.k; ++l) {
        sum += av[p.transpose_a ? l * p.m + i : i * p.k + l] *
               bv[p.transpose_b ? j * p.k + l : l * p.n + j];
      }
      expected[i * p.n + j] = p.alpha * sum + (p.beta == 0 ? 0 : p.beta * before[i * p.n + j]);
    }
  }
  cpu::gemm(context, cpu::Gemm<T>{.transpose_a = p.transpose_a,
                                  .transpose_b = p.transpose_b,
                                  .m = p.m,
                                  .n = p.n,
                                  .k = p.k,
                                  .alpha = static_cast<T>(p.alpha),
                                  .a = a.template data<T>(),
                                  .lda = columns_a + 3,
                                  .b = b.template data<T>(),
                                  .ldb = columns_b + 3,
                                  .beta = static_cast<T>(p.beta),
                                  .c = c.template data<T>(),
                                  .ldc = p.n + 3});
  EXPECT_TRUE(testing::close(inner(c), expected, tolerance));
  for (const double pad : values_of(c.view().slice(1, p.n, p.n + 3))) EXPECT_TRUE(std::isnan(pad));
}

TEST_P(GemmTest, EqualsTripleLoop) {
  for (const int threads : {1, 2}) {
    check_product<float>(GetParam(), threads, 1e-5);
    check_product<double>(GetParam(), threads, 1e-13);
  }
}

std::vector<Product> products() {
  std::vector<Product> all;
  for (const bool ta : {false, true}) {
    for (const bool tb : {false, true}) {
      for (const auto& [m, n, k] : std::vector<std::tuple<int, int, int>>{{1, 1, 1},
                                                                          {5, 3, 7},
                                                                          {1, 33, 17},
                                                                          {37, 1, 19},
                                                                          {67, 131, 29},
                                                                          {300, 70, 130},
                                                                          {3, 700, 1100}}) {
        all.push_back({ta, tb, m, n, k, 1, 0});
        all.push_back({ta, tb, m, n, k, -0.5, 2});
      }
      for (const auto& [m, n, k] :
           std::vector<std::tuple<int, int, int>>{{0, 3, 4}, {3, 0, 4}, {3, 4, 0}}) {
        all.push_back({ta, tb, m, n, k, 1, 0.5});
        all.push_back({ta, tb, m, n, k, 1, 0});
      }
    }
  }
  return all;
}
std::string product_name(const ::testing::TestParamInfo<Product>& info) {
  const Product& p = info.param;
  return std::string(p.transpose_a ? "T" : "N") + (p.transpose_b ? "T" : "N") + "_" +
         std::to_string(p.m) + "x" + std::to_string(p.n) + "x" + std::to_string(p.k) +
         (p.beta == 0 ? "" : "_add");
}
INSTANTIATE_TEST_SUITE_P(Sizes, GemmTest, ::testing::ValuesIn(products()), product_name);

/// The second shape is one for which oneDNN, left to thread by itself, splits k among eight
/// threads.
TEST(Gemm, SameBitsAtAnyNumberOfThreads) {
  for (const auto& [m, n, k] : {std::array<int64_t, 3>{257, 130, 2051}, {48, 48, 4096}}) {
    Context one({}, 1);
    const Tensor a = testing::random_tensor(one, DType::kF32, {k, m}, 1);
    const Tensor b = testing::random_tensor(one, DType::kF32, {k, n}, 2);
    auto product = [&, m = m, n = n, k = k](Context& context) {
      Tensor c = Tensor::zeros(context, DType::kF32, {m, n});
      cpu::gemm(context, cpu::Gemm<float>{.transpose_a = true,
                                          .m = m,
                                          .n = n,
                                          .k = k,
                                          .a = a.data<float>(),
                                          .lda = m,
                                          .b = b.data<float>(),
                                          .ldb = n,
                                          .c = c.data<float>(),
                                          .ldc = n});
      return c;
    };
    const Tensor expected = product(one);
    for (const int threads : {2, 3, 8}) {
      Context several({}, threads);
      EXPECT_TRUE(testing::bit_equal(product(several), expected)) << threads << " threads";
    }
  }
}

/// x, y, dy and dx are the middle columns of wider matrices, as the parts of an input projection
/// are.
struct Layer {
  int64_t rows, in, out;
  DType dtype = DType::kF64;
  Context context{{}, 2};

  Tensor wide(int64_t columns, const std::vector<double>& values = {}) {
    Tensor tensor = Tensor::zeros(context, dtype, {rows, columns + 5});
    if (!values.empty()) testing::assign(tensor.view().slice(1, 2, 2 + columns), values);
    return tensor;
  }

  Values forward(const Values& in_values) {
    const Tensor x = wide(in, in_values.at("x")), y = wide(out);
    const Tensor weight = tensor_of(context, dtype, {out, in}, in_values.at("weight"));
    const Tensor bias = tensor_of(context, dtype, {out}, in_values.at("bias"));
    const auto y_view = y.view().slice(1, 2, 2 + out);
    linear_forward(
        context, {.x = x.view().slice(1, 2, 2 + in), .weight = weight, .bias = bias, .y = y_view});
    return {{"y", values_of(y_view)}};
  }

  Values backward(const Values& in_values, const Values& upstream) {
    const Tensor x = wide(in, in_values.at("x")), dy = wide(out, upstream.at("y")), dx = wide(in);
    const Tensor weight = tensor_of(context, dtype, {out, in}, in_values.at("weight"));
    const Tensor dweight = Tensor::zeros(context, dtype, {out, in}),
                 dbias = Tensor::zeros(context, dtype, {out});
    const auto dx_view = dx.view().slice(1, 2, 2 + in);
    linear_backward(context, {.x = x.view().slice(1, 2, 2 + in),
                              .weight = weight,
                              .dy = dy.view().slice(1, 2, 2 + out),
                              .dx = dx_view,
                              .dweight = dweight,
                              .dbias = dbias});
    return {{"x", values_of(dx_view)}, {"weight", values_of(dweight)}, {"bias", values_of(dbias)}};
  }

  Values inputs() const {
    return {{"x", random_values(rows * in, 1)},
            {"weight", random_values(out * in, 2)},
            {"bias", random_values(out, 3)}};
  }
};

TEST(Linear, EqualsPlainLoops) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    Layer layer{.rows = 7, .in = 5, .out = 9, .dtype = dtype};
    const Values in = layer.inputs();
    std::vector<double> expected;
    for (int64_t r = 0; r < 7; ++r) {
      for (int64_t o = 0; o < 9; ++o) {
        double sum = in.at("bias")[o];
        for (int64_t i = 0; i < 5; ++i) sum += in.at("x")[r * 5 + i] * in.at("weight")[o * 5 + i];
        expected.push_back(sum);
      }
    }
    EXPECT_TRUE(
        testing::close(layer.forward(in).at("y"), expected, dtype == DType::kF32 ? 1e-6 : 1e-14));
  }
}

/// The addend is a matrix of its own, which stays as it was, or y itself.
TEST(Linear, AddsWhatIsGiven) {
  Context context({}, 2);
  constexpr int64_t kRows = 7, kIn = 5, kOut = 9;
  const Tensor x = testing::random_tensor(context, DType::kF64, {kRows, kIn}, 1),
               weight = testing::random_tensor(context, DType::kF64, {kOut, kIn}, 2),
               some_bias = testing::random_tensor(context, DType::kF64, {kOut}, 3),
               wide = testing::random_tensor(context, DType::kF64, {kRows, kOut + 4}, 4),
               product(context, DType::kF64, {kRows, kOut});
  const core::TensorView addend = wide.view().slice(1, 3, 3 + kOut);
  const auto added = values_of(addend);
  for (const core::TensorView& bias : {core::TensorView{}, some_bias.view()}) {
    linear_forward(context, {.x = x, .weight = weight, .bias = bias, .y = product});
    auto expected = values_of(product);
    for (size_t i = 0; i < expected.size(); ++i) expected[i] += added[i];
    const Tensor apart(context, DType::kF64, {kRows, kOut}),
        same = tensor_of(context, DType::kF64, {kRows, kOut}, added);
    linear_forward(context, {.x = x, .weight = weight, .bias = bias, .addend = addend, .y = apart});
    linear_forward(context, {.x = x, .weight = weight, .bias = bias, .addend = same, .y = same});
    EXPECT_TRUE(testing::close(apart, expected, 1e-14));
    EXPECT_TRUE(testing::close(same, expected, 1e-14));
    EXPECT_EQ(values_of(addend), added);
  }
}

TEST(Linear, GradientsMatchDifferences) {
  for (const int64_t rows : {0, 1, 13}) {
    Layer layer{.rows = rows, .in = 6, .out = 4};
    EXPECT_TRUE(testing::check_gradients(
        {.inputs = layer.inputs(),
         .forward = [&](const Values& in) { return layer.forward(in); },
         .backward = [&](const Values& in, const Values& up) { return layer.backward(in, up); }}));
  }
}

TEST(Linear, AccumulatesWeightGradients) {
  Context context({}, 2);
  const Tensor x = testing::random_tensor(context, DType::kF32, {40, 3}, 1);
  const Tensor weight = testing::random_tensor(context, DType::kF32, {2, 3}, 2);
  const Tensor dy = testing::random_tensor(context, DType::kF32, {40, 2}, 3);
  const Tensor dweight = Tensor::zeros(context, DType::kF32, {2, 3}),
               dbias = Tensor::zeros(context, DType::kF32, {2});
  const LinearBackward args = {
      .x = x, .weight = weight, .dy = dy, .dweight = dweight, .dbias = dbias};
  linear_backward(context, args);
  auto doubled = [](std::vector<double> v) {
    for (double& e : v) e *= 2;
    return v;
  };
  const auto weight_twice = doubled(values_of(dweight)), bias_twice = doubled(values_of(dbias));
  linear_backward(context, args);
  EXPECT_TRUE(testing::close(dweight, weight_twice, 1e-6));
  EXPECT_TRUE(testing::close(dbias, bias_twice, 1e-6));
}

/// What is there is not read; no rows leave zeros.
TEST(Linear, OverwritesWeightGradients) {
  Context context({}, 2);
  for (const int64_t rows : {0, 1, 40}) {
    const Tensor x = testing::random_tensor(context, DType::kF32, {rows, 3}, 1),
                 weight = testing::random_tensor(context, DType::kF32, {2, 3}, 2),
                 dy = testing::random_tensor(context, DType::kF32, {rows, 2}, 3),
                 added = Tensor::zeros(context, DType::kF32, {2, 3});
    const Tensor stored = tensor_of(context, DType::kF32, {2, 3}, std::vector<double>(6, NAN)),
                 dbias = tensor_of(context, DType::kF32, {2}, {1, 1});
    linear_backward(context, {.x = x, .weight = weight, .dy = dy, .dweight = added});
    linear_backward(context, {.x = x,
                              .weight = weight,
                              .dy = dy,
                              .dweight = stored,
                              .dbias = dbias,
                              .overwrite_dweight = true});
    EXPECT_EQ(values_of(stored), values_of(added)) << rows;
    if (rows > 0) continue;
    EXPECT_EQ(values_of(dbias), std::vector<double>({1, 1}));  // is added to
  }
}

TEST(Linear, SaysThatBf16IsNotSupported) {
  Context context({}, 1);
  const Tensor x(context, DType::kBF16, {2, 2}), weight(context, DType::kBF16, {2, 2}),
      y(context, DType::kBF16, {2, 2});
  try {
    linear_forward(context, {.x = x, .weight = weight, .y = y});
    FAIL() << "bf16 was accepted";
  } catch (const core::Error& error) {
    EXPECT_STREQ(error.what(),
                 "linear_forward: dtype bf16 is not supported on the CPU (fp32, fp64)");
  }
}

TEST(LinearDeathTest, RefusesShapesThatDoNotFit) {
  Context context({}, 1);
  const Tensor x(context, DType::kF32, {2, 3}), weight(context, DType::kF32, {5, 4}),
      y(context, DType::kF32, {2, 5});
  EXPECT_DEATH(linear_forward(context, {.x = x, .weight = weight, .y = y}), "expected \\[5, 3\\]");
}

}  // namespace
}  // namespace longhaul::kernels
