// Core's copies, addition, embedding, linear layers and loss on the device.
#include <cmath>
#include <limits>

#include "kernels/core/error.h"
#include "kernels/cuda_sizes.h"
#include "kernels/elementwise/add.h"
#include "kernels/elementwise/convert.h"
#include "kernels/embedding/embedding.h"
#include "kernels/linear/linear.h"
#include "kernels/loss/linear_cross_entropy.h"
#include "tests/kernels/device/device_test.h"
#include "tests/support/random_tensor.h"

namespace longhaul::testing {
namespace {

using core::Context;
using core::DType;
using core::Tensor;
using core::TensorView;

using FlatOps = DeviceTest;

TEST_F(FlatOps, CopiesOfAnyStrides) {
  Context device(kCuda), host;
  const auto values = random_values(2 * 5 * 7, 1);
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF64}) {
    const Tensor here = tensor_of(host, dtype, {2, 5, 7}, values);
    const Tensor there = Tensor::copy_of(device, here);
    EXPECT_EQ(values_of(there), values_of(here));
    const auto middle = [](const TensorView& view) { return view.slice(2, 2, 6).slice(1, 1, 4); };
    const Tensor packed = Tensor::copy_of(device, middle(there));  // within the device
    EXPECT_EQ(values_of(packed), values_of(middle(here)));
    const Tensor target = Tensor::zeros(device, dtype, {2, 5, 7});
    core::copy(device, packed, middle(target));
    EXPECT_EQ(values_of(middle(target)), values_of(packed));
    core::copy(device, middle(there), middle(here));  // to the host
    EXPECT_EQ(values_of(here), values_of(there));
  }
  const Tensor none(device, DType::kF32, {0, 3});
  EXPECT_EQ(values_of(Tensor::copy_of(device, none)).size(), 0u);
}

TEST_F(FlatOps, NoMemoryIsTakenTwice) {
  Context context(kCuda);
  const void* block = Tensor(context, DType::kF32, {1000}).view().raw();
  EXPECT_EQ(Tensor(context, DType::kF32, {1000}).view().raw(), block);
}

TEST_F(FlatOps, ADeviceThatIsNotThere) {
  EXPECT_THROW(Context({core::DeviceKind::kCuda, 99}), core::InputError);
}

TEST_F(FlatOps, Add) {
  Context context(kCuda);
  for (const Precision& precision : {kSingle, kHalf}) {
    for (const int64_t count : {0, 1, 17, 4096}) {
      const Tensor source = random_tensor(context, precision.dtype, {count}, 1),
                   target = random_tensor(context, precision.dtype, {count}, 2);
      auto expected = values_of(target);
      for (size_t i = 0; i < expected.size(); ++i) expected[i] += values_of(source)[i];
      kernels::add(context, source, target);
      EXPECT_EQ(values_of(target), rounded(expected, precision.dtype));
    }
  }
}

/// Any length from any element on; what lies around the target stays as it is.
TEST_F(FlatOps, Convert) {
  Context context(kCuda);
  constexpr int64_t kAll = 1100;
  for (const DType from : {DType::kF32, DType::kBF16}) {
    for (const DType to : {DType::kF32, DType::kBF16}) {
      const Tensor source = random_tensor(context, from, {kAll}, 1);
      const auto values = rounded(values_of(source), to);
      for (const int64_t count : {0, 1, 3, 4, 7, 1029}) {
        for (const auto& [first, at] : {std::pair{0, 0}, {1, 1}, {4, 8}, {2, 4}, {4, 3}, {6, 6}}) {
          const Tensor target = Tensor::zeros(context, to, {kAll});
          kernels::convert(context, source.view().slice(0, first, first + count),
                           target.view().slice(0, at, at + count));
          std::vector<double> expected(kAll, 0);
          std::copy_n(values.begin() + first, count, expected.begin() + at);
          EXPECT_EQ(values_of(target), expected) << count << " from " << first << " to " << at;
        }
      }
    }
  }
}

void expect_embedding(const std::vector<int32_t>& tokens) {
  constexpr int64_t kVocabulary = 7;
  Context context(kCuda);
  const auto rows = static_cast<int64_t>(tokens.size());
  for (const auto& [dtype, outside] : {std::pair{DType::kF32, DType::kF32},
                                       {DType::kBF16, DType::kBF16},
                                       {DType::kBF16, DType::kF32}}) {
    for (const int64_t width : {5, 64}) {
      const Tensor token = Tensor::from<int32_t>(context, tokens, {rows});
      const Tensor weight = random_tensor(context, dtype, {kVocabulary, width}, 1),
                   dy = random_tensor(context, outside, {rows, width}, 2),
                   y(context, outside, {rows, width}),
                   dweight = random_tensor(context, DType::kF32, {kVocabulary, width}, 3);
      kernels::embedding_forward(context, {.tokens = token, .weight = weight, .y = y});
      auto sums = values_of(dweight);
      for (int64_t r = 0; r < rows; ++r) {
        EXPECT_EQ(values_of(y.view().select(0, r)), values_of(weight.view().select(0, tokens[r])));
        const auto row = values_of(dy.view().select(0, r));
        for (int64_t i = 0; i < width; ++i) {  // in row order, as the contract says
          double& sum = sums[tokens[r] * width + i];
          sum = static_cast<float>(sum + row[i]);
        }
      }
      kernels::embedding_backward(context, {.tokens = token, .dy = dy, .dweight = dweight});
      EXPECT_EQ(values_of(dweight), sums);
    }
  }
}

TEST_F(FlatOps, Embedding) { expect_embedding({3, 0, 6, 3, 3}); }

TEST_F(FlatOps, EmbeddingOfManyEqualTokens) {
  for (const size_t many : {15, 16, 17, 33, 64}) {
    SCOPED_TRACE(many);
    std::vector<int32_t> tokens(many, 3);
    expect_embedding(tokens);
    for (const int32_t other : {0, 3, 6, 6}) tokens.insert(tokens.begin() + 2, other);
    expect_embedding(tokens);
  }
}

/// 16,384 keys: sorted in blocks, then across them.
TEST_F(FlatOps, EmbeddingOfMoreRowsThanABlockSorts) {
  constexpr int64_t kRows = 9000, kVocabulary = 50;
  Context context(kCuda);
  std::vector<int32_t> tokens(kRows);
  for (size_t r = 0; r < tokens.size(); ++r) {
    tokens[r] = static_cast<int32_t>(r * r * 7 % 53 % kVocabulary);
  }
  const Tensor dy = random_tensor(context, DType::kF32, {kRows, 1}, 2),
               dweight = Tensor::zeros(context, DType::kF32, {kVocabulary, 1});
  std::vector<double> sums(kVocabulary);
  const auto values = values_of(dy);
  for (size_t r = 0; r < tokens.size(); ++r) {
    double& sum = sums[static_cast<size_t>(tokens[r])];
    sum = static_cast<float>(sum + values[r]);
  }
  const Tensor token = Tensor::from<int32_t>(context, tokens, {kRows});
  kernels::embedding_backward(context, {.tokens = token, .dy = dy, .dweight = dweight});
  EXPECT_EQ(values_of(dweight), sums);
}

TEST_F(FlatOps, EmbeddingRefusesTokensOutsideTheVocabulary) {
  Context context(kCuda);
  const Tensor weight = Tensor::zeros(context, DType::kF32, {4, 2}),
               y = Tensor::zeros(context, DType::kF32, {2, 2});
  for (const int32_t bad : {-1, 4, std::numeric_limits<int32_t>::max()}) {
    const Tensor tokens = Tensor::from<int32_t>(context, {0, bad}, {2});
    EXPECT_THROW(kernels::embedding_forward(context, {.tokens = tokens, .weight = weight, .y = y}),
                 core::Error);
    EXPECT_THROW(
        kernels::embedding_backward(context, {.tokens = tokens, .dy = y, .dweight = weight}),
        core::Error);
  }
}

enum class Addend { kNone, kOther, kY };

/// What a linear layer is asked for besides the product.
struct LinearCase {
  Addend addend = Addend::kNone;
  bool with_bias = true;
  bool wide = false;  ///< y and the addend in the state dtype
  bool overwrites = false;
};

/// x and the other addend are columns of wider matrices.
Values run_linear(core::Device device, DType dtype, const Values& in, const LinearCase& c) {
  Context context(device);
  constexpr int64_t kRows = 9, kIn = 13, kOut = 21;
  const DType state = core::state_dtype(dtype);
  const Tensor wide = Tensor::zeros(context, dtype, {kRows, kIn + 3});
  const TensorView x = wide.view().slice(1, 3, 3 + kIn);
  assign(x, in.at("x"));
  const Tensor weight = tensor_of(context, dtype, {kOut, kIn}, in.at("weight")),
               bias = tensor_of(context, dtype, {kOut}, in.at("bias")),
               y = tensor_of(context, c.wide ? state : dtype, {kRows, kOut}, in.at("y")),
               other = Tensor::zeros(context, y.dtype(), {kRows, kOut + 5}),
               dy = tensor_of(context, dtype, {kRows, kOut}, in.at("dy")),
               dx(context, dtype, {kRows, kIn}),
               dweight = c.overwrites ? tensor_of(context, state, {kOut, kIn},
                                                  std::vector<double>(kOut * kIn, NAN))
                                      : tensor_of(context, state, {kOut, kIn}, in.at("weight")),
               dbias = tensor_of(context, state, {kOut}, in.at("bias"));
  const TensorView apart = other.view().slice(1, 2, 2 + kOut);
  assign(apart, in.at("other"));
  kernels::linear_forward(context, {.x = x,
                                    .weight = weight,
                                    .bias = c.with_bias ? bias.view() : TensorView{},
                                    .addend = c.addend == Addend::kNone    ? TensorView{}
                                              : c.addend == Addend::kOther ? apart
                                                                           : y.view(),
                                    .y = y});
  EXPECT_EQ(values_of(apart), in.at("other"));
  kernels::linear_backward(context, {.x = x,
                                     .weight = weight,
                                     .dy = dy,
                                     .dx = dx,
                                     .dweight = dweight,
                                     .dbias = dbias,
                                     .overwrite_dweight = c.overwrites});
  return {{"y", values_of(y)},
          {"dx", values_of(dx)},
          {"dweight", values_of(dweight)},
          {"dbias", values_of(dbias)}};
}

TEST_F(FlatOps, Linear) {
  for (const Precision& precision : {kSingle, kHalf}) {
    const Values in = rounded({{"x", random_values(9 * 13, 1)},
                               {"weight", random_values(21 * 13, 2)},
                               {"bias", random_values(21, 3)},
                               {"y", random_values(9 * 21, 4)},
                               {"other", random_values(9 * 21, 6)},
                               {"dy", random_values(9 * 21, 5)}},
                              precision.dtype);
    for (const Addend addend : {Addend::kNone, Addend::kOther, Addend::kY}) {
      for (const auto& [with_bias, wide] :
           {std::pair{false, false}, {true, false}, {false, true}, {true, true}}) {
        SCOPED_TRACE(::testing::Message() << static_cast<int>(addend) << with_bias << wide);
        const LinearCase c{
            .addend = addend, .with_bias = with_bias, .wide = wide, .overwrites = with_bias};
        const Values expected = run_linear({}, DType::kF64, in, c);
        const Values found = run_linear(kCuda, precision.dtype, in, c);
        expect_close(found, expected, precision.tolerance);
        const double tolerance = wide ? kSingle.tolerance : precision.tolerance;
        EXPECT_TRUE(close(found.at("y"), expected.at("y"), tolerance));
      }
    }
  }
}

struct LossCase {
  int64_t rows, vocabulary;
  double tolerance = 1;  ///< over the precision's
  bool overwrites = false;
  kernels::cuda::CrossEntropyRows held{0, 0};  ///< on the device; 0: as many as it takes
};

Values run_loss(core::Device device, DType dtype, const Values& in, const LossCase& c) {
  Context context(device);
  constexpr int64_t kWidth = 12;
  const int64_t rows = c.rows, vocabulary = c.vocabulary;
  const DType state = core::state_dtype(dtype);
  std::vector<int32_t> label(static_cast<size_t>(rows));
  for (size_t r = 0; r < label.size(); ++r) {
    label[r] = static_cast<int32_t>(r * 11 % static_cast<size_t>(vocabulary + 1)) - 1;
  }
  const Tensor labels = Tensor::from(context, label, {rows});
  const Tensor hidden = tensor_of(context, dtype, {rows, kWidth}, in.at("hidden")),
               weight = tensor_of(context, dtype, {vocabulary, kWidth}, in.at("weight")),
               loss(context, state, {rows}), predicted(context, DType::kI32, {rows}),
               dhidden(context, dtype, {rows, kWidth}),
               dweight = c.overwrites
                             ? tensor_of(context, state, {vocabulary, kWidth},
                                         std::vector<double>(in.at("weight").size(), NAN))
                             : tensor_of(context, state, {vocabulary, kWidth}, in.at("weight"));
  const kernels::LinearCrossEntropy args{.hidden = hidden,
                                         .weight = weight,
                                         .labels = labels,
                                         .scale = 0.25,
                                         .loss = loss,
                                         .predicted = predicted,
                                         .dhidden = dhidden,
                                         .dweight = dweight,
                                         .overwrite_dweight = c.overwrites};
  const bool given = c.held.logits > 0 && !device.is_cpu();
  const kernels::LossSum sum = given ? kernels::cuda::linear_cross_entropy(context, args, c.held)
                                     : kernels::linear_cross_entropy(context, args);
  return {{"sum", {sum.sum, static_cast<double>(sum.count)}},
          {"loss", values_of(loss)},
          {"predicted", values_of(predicted)},
          {"dhidden", values_of(dhidden)},
          {"dweight", values_of(dweight)}};
}

TEST_F(FlatOps, LinearCrossEntropy) {
  // Rows in whole words of 16 bytes; rows of more threads; rows that are longer than shared memory,
  // whose products the emulation adds up one after another in fp32.
  std::vector<LossCase> cases{{0, 37}, {1, 37},   {150, 37},     {0, 37, 1, true},
                              {3, 40}, {2, 8196}, {2, 41101, 2}, {2, 45064, 2}};
  // Several parts, the last one shorter; in bf16 of several blocks of logits each.
  for (const int64_t rows : {9, 10, 11, 24}) {
    for (const bool overwrites : {false, true}) {
      cases.push_back({rows, 37, 1, overwrites, {3, 6}});
    }
  }
  for (const Precision& precision : {kSingle, kHalf}) {
    for (LossCase c : cases) {
      SCOPED_TRACE(::testing::Message() << c.rows << " rows of " << c.vocabulary);
      if (precision.dtype == DType::kF32) c.held.gradients = c.held.logits;
      const Values in = rounded({{"hidden", random_values(c.rows * 12, 1)},
                                 {"weight", random_values(c.vocabulary * 12, 2)}},
                                precision.dtype);
      expect_close(run_loss(kCuda, precision.dtype, in, c), run_loss({}, DType::kF64, in, c),
                   precision.tolerance * c.tolerance);
    }
  }
}

TEST(FlatOpSizes, RowsOfTheCrossEntropyAreEvenPartsThatTakeNoMoreThanTheirShare) {
  const auto expect = [](const kernels::cuda::CrossEntropyRows& held, int64_t logits,
                         int64_t gradients) {
    EXPECT_EQ(held.logits, logits);
    EXPECT_EQ(held.gradients, gradients);
  };
  using kernels::cuda::cross_entropy_rows;
  expect(cross_entropy_rows(16384, 50288, true), 1024, 4096);   // at most 1,280 and 5,120
  expect(cross_entropy_rows(16384, 50288, false), 2432, 2432);  // 2,560
  expect(cross_entropy_rows(1300, 50288, true), 768, 1300);
  expect(cross_entropy_rows(7, 50288, true), 7, 7);
  expect(cross_entropy_rows(0, 50288, true), 1, 1);
  expect(cross_entropy_rows(1000, 1 << 20, true), 128, 128);
  for (int64_t vocabulary = 1; vocabulary < 3'000'000; vocabulary = vocabulary * 5 / 3 + 1) {
    const int64_t share = std::max<int64_t>((1 << 27) / vocabulary / 128, 1) * 128 * 6;
    for (int64_t rows = 1; rows < 1'000'000; rows = rows * 7 / 4 + 1) {
      const auto held = cross_entropy_rows(rows, vocabulary, true);
      EXPECT_LE(held.logits * 4 + held.gradients * 2, share) << rows << " of " << vocabulary;
    }
  }
}

/// Logits may be −∞, alone in what a thread reads first; NaN among them is not lost.
TEST_F(FlatOps, LinearCrossEntropyOfMinusInfinity) {
  Context context(kCuda);
  for (const int64_t vocabulary : {37, 40, 2048}) {
    SCOPED_TRACE(vocabulary);
    const int32_t label = static_cast<int32_t>(vocabulary) - 1;
    std::vector<double> logits = random_values(vocabulary, 1);
    std::fill(logits.begin(), logits.begin() + vocabulary / 2,
              -std::numeric_limits<double>::infinity());
    const auto loss_of = [&](const Tensor& dweight) {
      const Tensor hidden = Tensor::from<float>(context, {1}, {1, 1}),
                   weight = tensor_of(context, DType::kF32, {vocabulary, 1}, logits),
                   labels = Tensor::from<int32_t>(context, {label}, {1});
      return kernels::linear_cross_entropy(
                 context,
                 {.hidden = hidden, .weight = weight, .labels = labels, .dweight = dweight})
          .sum;
    };
    std::vector<double> expected;
    double sum = 0;
    for (const double logit : logits) sum += std::exp(logit);
    for (const double logit : logits) expected.push_back(std::exp(logit) / sum);
    expected.back() -= 1;
    const Tensor dweight = Tensor::zeros(context, DType::kF32, {vocabulary, 1});
    EXPECT_NEAR(loss_of(dweight), std::log(sum) - logits.back(), 1e-5);
    EXPECT_TRUE(close(dweight, expected, kSingle.tolerance));
    logits[0] = std::numeric_limits<double>::quiet_NaN();
    EXPECT_TRUE(std::isnan(loss_of({})));
  }
}

TEST_F(FlatOps, LinearCrossEntropyRefusesForeignLabels) {
  Context context(kCuda);
  const Tensor hidden = Tensor::zeros(context, DType::kF32, {1, 2}),
               weight = Tensor::zeros(context, DType::kF32, {3, 2});
  for (const int32_t bad : {-2, 3}) {
    const Tensor labels = Tensor::from<int32_t>(context, {bad}, {1});
    EXPECT_THROW(kernels::linear_cross_entropy(
                     context, {.hidden = hidden, .weight = weight, .labels = labels}),
                 core::Error);
  }
}

TEST_F(FlatOps, FloatsOfDoublePrecisionAreRefused) {
  Context context(kCuda);
  const Tensor x = Tensor::zeros(context, DType::kF64, {2});
  EXPECT_THROW(kernels::add(context, x, x), core::Error);
}

}  // namespace
}  // namespace longhaul::testing
