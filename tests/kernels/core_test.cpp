#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/core/context.h"
#include "kernels/core/dispatch.h"
#include "kernels/core/error.h"
#include "kernels/core/handle.h"
#include "kernels/core/memory_pool.h"
#include "kernels/core/memory_tally.h"
#include "kernels/core/parallel.h"
#include "kernels/core/random.h"
#include "kernels/core/row_blocks.h"
#include "kernels/core/tensor.h"
#include "tests/support/compare.h"
#include "tests/support/random_tensor.h"

namespace longhaul::core {
namespace {

using testing::values_of;

TEST(Shape, CountsAndPrints) {
  const Shape shape = {2, 3, 4};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape.elements(), 24);
  EXPECT_EQ(shape.to_string(), "[2, 3, 4]");
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ((Shape{5, 0, 7}).elements(), 0);
  EXPECT_EQ(shape.with_front(9), (Shape{9, 2, 3, 4}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{2, 3, 1}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{3, 2}));
}

TEST(Shape, HoldsMoreThan32Bits) {
  EXPECT_EQ((Shape{1 << 20, 1 << 20}).elements(), int64_t{1} << 40);
}

TEST(ShapeDeathTest, RefusesSixExtentsAndNegativeOnes) {
  EXPECT_DEATH((Shape{1, 1, 1, 1, 1, 1}), "");
  EXPECT_DEATH((Shape{2, -1}), "");
}

std::vector<double> counting(int64_t count) {
  std::vector<double> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  return values;
}

TEST(TensorView, SlicesAndSelectsShareMemory) {
  Context context({}, 1);
  const Tensor tensor = testing::tensor_of(context, DType::kF32, {2, 3, 4}, counting(24));
  const TensorView view = tensor;
  EXPECT_EQ(view.stride(0), 12);
  EXPECT_EQ(view.stride(1), 4);
  EXPECT_TRUE(view.is_contiguous());

  const TensorView middle = view.slice(1, 1, 2);
  EXPECT_EQ(middle.shape(), (Shape{2, 1, 4}));
  EXPECT_FALSE(middle.is_contiguous());
  EXPECT_EQ(values_of(middle), (std::vector<double>{4, 5, 6, 7, 16, 17, 18, 19}));

  const TensorView column = view.select(2, 3);
  EXPECT_EQ(column.shape(), (Shape{2, 3}));
  EXPECT_EQ(values_of(column), (std::vector<double>{3, 7, 11, 15, 19, 23}));

  const TensorView row = view.select(0, 1).select(0, 2);
  EXPECT_TRUE(row.is_contiguous());
  row.data<float>()[0] = -1;
  EXPECT_EQ(tensor.data<float>()[20], -1);

  EXPECT_EQ(view.slice(0, 1, 1).elements(), 0);
  EXPECT_TRUE(view.slice(0, 1, 2).is_contiguous());  // one element along the strided dimension
}

TEST(TensorView, SplitsAndReshapes) {
  Context context({}, 1);
  const Tensor tensor = testing::tensor_of(context, DType::kF64, {2, 6}, counting(12));
  const TensorView heads = tensor.view().slice(1, 2, 6).split_last(2, 2);
  EXPECT_EQ(heads.shape(), (Shape{2, 2, 2}));
  EXPECT_EQ(values_of(heads), (std::vector<double>{2, 3, 4, 5, 8, 9, 10, 11}));
  EXPECT_EQ(values_of(tensor.view().reshape({3, 4}).select(0, 1)),
            (std::vector<double>{4, 5, 6, 7}));
}

TEST(TensorViewDeathTest, RefusesWhatWouldReadElsewhere) {
  Context context({}, 1);
  const Tensor tensor(context, DType::kF32, {2, 6});
  EXPECT_DEATH(tensor.view().slice(1, 3, 7), "slice");
  EXPECT_DEATH(tensor.view().slice(1, 3, 2), "slice");
  EXPECT_DEATH(tensor.view().slice(1, 0, 3).reshape({6}), "strided");
  EXPECT_DEATH(tensor.view().reshape({13}), "");
}

TEST(TensorView, AbsentIsFalse) {
  EXPECT_FALSE(TensorView());
  EXPECT_FALSE(Tensor());
  Context context({}, 1);
  EXPECT_TRUE(Tensor(context, DType::kF32, Shape{0, 4})) << "an empty tensor is not an absent one";
}

TEST(Tensor, CopiesBetweenStridedViews) {
  Context context({}, 1);
  const Tensor source = testing::tensor_of(context, DType::kF32, {3, 4}, counting(12));
  const Tensor target = Tensor::zeros(context, DType::kF32, {3, 5});
  copy(context, source.view().slice(1, 1, 3), target.view().slice(1, 3, 5));
  EXPECT_EQ(values_of(target), (std::vector<double>{0, 0, 0, 1, 2, 0, 0, 0, 5, 6, 0, 0, 0, 9, 10}));
  EXPECT_EQ(values_of(Tensor::copy_of(context, source.view().slice(1, 3, 4))),
            (std::vector<double>{3, 7, 11}));
}

TEST(Tensor, MovesLeaveAbsentOrExchange) {
  Context context({}, 1);
  Tensor first = Tensor::from<float>(context, {1, 2}, {2});
  Tensor second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(values_of(second), (std::vector<double>{1, 2}));
  Tensor third = Tensor::from<float>(context, {3}, {1});
  third = std::move(second);
  EXPECT_EQ(values_of(third), (std::vector<double>{1, 2}));
}

TEST(MemoryPool, ReusesBlocksAndTracksThePeak) {
  MemoryPool pool(Device{});
  void* first = pool.allocate(1000);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0u);
  EXPECT_EQ(pool.bytes_in_use(), 1024);
  void* second = pool.allocate(5000);
  EXPECT_EQ(pool.bytes_in_use(), 1024 + 8192);
  pool.release(first, 1000);
  EXPECT_EQ(pool.bytes_in_use(), 8192);
  EXPECT_EQ(pool.peak_bytes(), 1024 + 8192);
  EXPECT_EQ(pool.allocate(600), first) << "same size class";
  void* third = pool.allocate(600);
  EXPECT_NE(third, first);
  pool.release(first, 600);
  pool.release(third, 600);
  pool.reset_peak();
  EXPECT_EQ(pool.peak_bytes(), pool.bytes_in_use());
  pool.release(second, 5000);
}

TEST(MemoryPool, KnowsWhatItTookFromTheSystem) {
  MemoryPool pool(Device{});
  void* first = pool.allocate(1000);
  pool.release(first, 1000);
  pool.release(pool.allocate(600), 600);
  pool.release(pool.allocate(5000), 5000);
  EXPECT_EQ(pool.reserved_bytes(), 1024 + 8192);
  EXPECT_EQ(pool.system_releases(), 0);
  pool.free_cached();
  EXPECT_EQ(pool.reserved_bytes(), 0);
  EXPECT_EQ(pool.system_releases(), 1);
}

TEST(MemoryTally, CountsAsThePoolDoes) {
  MemoryPool pool(Device{});
  MemoryTally tally;
  void* large = pool.allocate(5000);
  MemoryTally::Block block(tally, 5000);
  pool.release(large, 5000);
  block.release();
  void *one = pool.allocate(1000), *two = pool.allocate(900);
  const MemoryTally::Block first(tally, 1000), second(tally, 900);
  EXPECT_EQ(tally.in_use(), pool.bytes_in_use());
  EXPECT_EQ(tally.peak(), pool.peak_bytes());
  EXPECT_EQ(tally.reserved(), pool.reserved_bytes());
  EXPECT_GT(tally.reserved(), tally.peak());
  pool.release(one, 1000);
  pool.release(two, 900);
}

TEST(MemoryPool, NamesTheSizeItCannotGet) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer ends the program at such a size";
#endif
  MemoryPool pool(Device{});
  try {
    pool.allocate(int64_t{1} << 60);
    FAIL() << "an exbibyte was there";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("1152921504606846976"), std::string::npos)
        << error.what();
  }
  EXPECT_EQ(pool.bytes_in_use(), 0);
}

TEST(MemoryPool, TensorsGiveTheirMemoryBack) {
  Context context({}, 1);
  { const Tensor tensor(context, DType::kF32, {100}); }
  EXPECT_EQ(context.pool().bytes_in_use(), 0);
  EXPECT_GE(context.pool().peak_bytes(), 400);
}

// Known answers of Philox4x32-10 (Random123, kat_vectors). Its counter is here {index, step,
// purpose}; purpose is xor-ed with the step's upper half shifted left by 8, so any last word can be
// reached.
TEST(Philox, KnownAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({.seed = 0, .step = 0, .purpose = RandomPurpose{0}}, 0),
            (Words{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}));
  EXPECT_EQ(
      philox({.seed = ~0ull, .step = 0xffffffffull, .purpose = RandomPurpose{0xffffffffu}}, ~0ull),
      (Words{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}));
  EXPECT_EQ(philox({.seed = 0x299f31d0a4093822ull,
                    .step = 0x13198a2eull,
                    .purpose = RandomPurpose{0x03707344u}},
                   0x85a308d3243f6a88ull),
            (Words{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}));
}

TEST(Random, StreamsDifferByEveryPartOfTheKey) {
  const RandomKey key{.seed = 5, .step = 7, .purpose = RandomPurpose::kTest};
  RandomKey seed = key, step = key, far_step = key, purpose = key;
  seed.seed = 6;
  step.step = 8;
  far_step.step += uint64_t{1} << 32;
  purpose.purpose = RandomPurpose::kSampler;
  for (const RandomKey& other : {seed, step, far_step, purpose})
    EXPECT_NE(philox(key, 3), philox(other, 3));
  EXPECT_NE(philox(key, 3), philox(key, 3 + (uint64_t{1} << 32)));
}

TEST(Random, MomentsOfUniformAndNormal) {
  const RandomKey key{.seed = 11};
  constexpr int kDraws = 100'000;
  double uniform_sum = 0, sum = 0, squares = 0, fourth = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = uniform(key, i), z = normal(key, i);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    uniform_sum += u;
    sum += z;
    squares += z * z;
    fourth += z * z * z * z;
    ASSERT_LT(uniform_below(key, i, 7), 7u);
  }
  // Five standard deviations of the mean of each.
  EXPECT_NEAR(uniform_sum / kDraws, 0.5, 5 * 0.2887 / std::sqrt(kDraws));
  EXPECT_NEAR(sum / kDraws, 0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(squares / kDraws, 1, 5 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(fourth / kDraws, 3, 5 * std::sqrt(96.0 / kDraws));
}

TEST(Random, BelowReachesEveryValue) {
  std::vector<int> counts(5);
  for (int i = 0; i < 5000; ++i) ++counts[uniform_below({.seed = 3}, i, 5)];
  for (const int count : counts) EXPECT_NEAR(count, 1000, 150);
}

TEST(Random, StreamStepsThroughIndices) {
  const RandomKey key{.seed = 2};
  RandomStream stream(key, 10);
  EXPECT_EQ(stream.uniform(), uniform(key, 10));
  EXPECT_EQ(stream.normal(), normal(key, 11));
  EXPECT_EQ(stream.below(9), uniform_below(key, 12, 9));
}

float rounded(float value) { return static_cast<float>(BFloat16(value)); }

TEST(BFloat16, RoundsToNearestEven) {
  EXPECT_EQ(rounded(1.0f), 1.0f);
  EXPECT_EQ(rounded(1.0f + 0x1p-8f), 1.0f);               // tie, to even below
  EXPECT_EQ(rounded(1.0f + 0x3p-8f), 1.0f + 0x1p-6f);     // tie, to even above
  EXPECT_EQ(rounded(1.0f + 0x1.02p-8f), 1.0f + 0x1p-7f);  // just above the tie
  EXPECT_EQ(rounded(-2.5f), -2.5f);
  EXPECT_EQ(BFloat16(-0.0f).bits, 0x8000);
}

TEST(BFloat16, KeepsWhatIsNotFinite) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(rounded(inf), inf);
  EXPECT_EQ(rounded(-inf), -inf);
  EXPECT_EQ(rounded(std::numeric_limits<float>::max()), inf);
  EXPECT_TRUE(std::isnan(rounded(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::isnan(rounded(std::bit_cast<float>(0x7f800001u))))
      << "a NaN whose upper half says inf";
  EXPECT_TRUE(std::isnan(rounded(std::bit_cast<float>(0xffffffffu))));
}

void close_once(int* closed) noexcept { ++*closed; }
using CountingHandle = UniqueHandle<int*, close_once>;

TEST(UniqueHandle, ClosesExactlyOnce) {
  int first = 0, second = 0;
  {
    CountingHandle a(&first);
    CountingHandle b(std::move(a));
    EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move)
    CountingHandle c(&second);
    c = std::move(b);
    EXPECT_EQ(c.get(), &first);
    EXPECT_EQ(first + second, 0);
  }
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 1);
  {
    CountingHandle d(&first);
    d.reset();
    EXPECT_EQ(first, 2);
    EXPECT_FALSE(d);
  }
  EXPECT_EQ(first, 2);
}

TEST(Errors, InputErrorJoinsItsProblems) {
  const InputError error(std::vector<std::string>{"a: 1", "b: 2"});
  EXPECT_STREQ(error.what(), "a: 1\nb: 2");
  EXPECT_EQ(error.problems().size(), 2u);
  EXPECT_EQ(message("x", 3, ' ', 1.5), "x3 1.5");
}

TEST(Parallel, CoversEveryIndexOnce) {
  Context context({}, 3);
  for (const int64_t count : {0, 1, 2, 3, 7, 100}) {
    std::vector<int> seen(static_cast<size_t>(count));
    parallel_ranges(context, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
    });
    parallel_items(context, count, [&](int64_t i) { ++seen[static_cast<size_t>(i)]; });
    EXPECT_EQ(seen, std::vector<int>(static_cast<size_t>(count), 2)) << count;
  }
}

TEST(RowBlocks, CoverAllRowsInOrder) {
  for (const int64_t rows : {0, 1, 15, 16, 17, 1000, 1'000'003}) {
    const RowBlocks blocks(rows);
    EXPECT_LE(blocks.count(), 64);
    int64_t next = 0;
    for (int64_t b = 0; b < blocks.count(); ++b) {
      EXPECT_EQ(blocks.begin(b), next);
      next = blocks.end(b);
    }
    EXPECT_EQ(next, rows);
  }
}

TEST(Dispatch, NamesOpAndDtypeItCannotDo) {
  try {
    dispatch_float("some_op", DType::kBF16, [](auto) {});
    FAIL() << "bf16 was accepted";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "some_op: dtype bf16 is not supported on the CPU (fp32, fp64)");
  }
}

}  // namespace
}  // namespace longhaul::core
