#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/core/dispatch.h"
#include "kernels/core/parallel.h"
#include "kernels/core/vector_math.h"
#include "kernels/linear/gemm_cpu.h"
#include "kernels/loss/linear_cross_entropy.h"

namespace longhaul::kernels::cpu {
namespace {

void check_labels(const core::TensorView& labels, int64_t vocabulary) {
  const int32_t* label = labels.data<int32_t>();
  for (int64_t r = 0; r < labels.elements(); ++r) {
    if (label[r] < -1 || label[r] >= vocabulary) {
      throw core::Error(core::message("cross_entropy: label ", label[r], " in row ", r,
                                      " is neither -1 nor in the vocabulary [0, ", vocabulary,
                                      ")"));
    }
  }
}

template <class T>
T maximum(const T* x, int64_t count) {
  constexpr int kLanes = 16;
  T lane[kLanes];
  std::fill(lane, lane + kLanes, -std::numeric_limits<T>::infinity());
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
#pragma omp simd
    for (int l = 0; l < kLanes; ++l) lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l];
  }
  T largest = *std::max_element(lane, lane + kLanes);
  for (; i < count; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

/// x ← e^{x − shift}; the sum, in double from pieces short enough for T.
template <class T>
double exponentiate(T* x, int64_t count, T shift) {
  constexpr int64_t kPiece = 2048;
  double sum = 0;
  for (int64_t begin = 0; begin < count; begin += kPiece) {
    const int64_t end = std::min(count, begin + kPiece);
    T piece = 0;
#pragma omp simd reduction(+ : piece)
    for (int64_t i = begin; i < end; ++i) {
      const T e = core::vector_exp(x[i] - shift);
      x[i] = e;
      piece += e;
    }
    sum += static_cast<double>(piece);
  }
  return sum;
}

template <class T>
class CrossEntropy {
 public:
  CrossEntropy(core::Context& context, const LinearCrossEntropy& args)
      : context_(context),
        args_(args),
        rows_(args.hidden.extent(0)),
        width_(args.hidden.extent(1)),
        vocabulary_(args.weight.extent(0)),
        scale_(args.deferred != nullptr ? *args.deferred->scale.data<double>() : args.scale),
        losses_(static_cast<size_t>(rows_)) {}

  LossSum run() {
    const int64_t step = cross_entropy_block_rows(rows_, vocabulary_, sizeof(T));
    const core::Tensor logits(context_, core::kDTypeOf<T>, {step, vocabulary_});
    for (int64_t begin = 0; begin < rows_; begin += step) {
      block(begin, std::min(rows_, begin + step), logits.data<T>());
    }
    if (args_.deferred != nullptr) {
      std::copy(losses_.begin(), losses_.end(), args_.deferred->losses.data<double>());
      return {};
    }
    LossSum total;
    for (int64_t r = 0; r < rows_; ++r) {
      total.sum += losses_[static_cast<size_t>(r)];
      total.count += args_.labels.data<int32_t>()[r] >= 0;
    }
    return total;
  }

 private:
  void block(int64_t begin, int64_t end, T* logits) {
    const T* hidden = args_.hidden.data<T>() + begin * width_;
    gemm(context_, Gemm<T>{.transpose_b = true,
                           .m = end - begin,
                           .n = vocabulary_,
                           .k = width_,
                           .a = hidden,
                           .lda = width_,
                           .b = args_.weight.data<T>(),
                           .ldb = width_,
                           .c = logits,
                           .ldc = vocabulary_});
    core::parallel_ranges(context_, end - begin, 1 + 4096 / vocabulary_,
                          [&](int64_t first, int64_t last) {
                            for (int64_t r = first; r < last; ++r)
                              row(begin + r, logits + r * vocabulary_);
                          });
    if (args_.dhidden) {
      gemm(context_, Gemm<T>{.m = end - begin,
                             .n = width_,
                             .k = vocabulary_,
                             .a = logits,
                             .lda = vocabulary_,
                             .b = args_.weight.data<T>(),
                             .ldb = width_,
                             .c = args_.dhidden.data<T>() + begin * width_,
                             .ldc = width_});
    }
    if (args_.dweight) {
      gemm(context_, Gemm<T>{.transpose_a = true,
                             .m = vocabulary_,
                             .n = width_,
                             .k = end - begin,
                             .a = logits,
                             .lda = vocabulary_,
                             .b = hidden,
                             .ldb = width_,
                             .beta = begin == 0 && args_.overwrite_dweight ? T(0) : T(1),
                             .c = args_.dweight.data<T>(),
                             .ldc = width_});
    }
  }

  /// Loss and prediction of row r; its logits become their gradient, if one is wanted.
  void row(int64_t r, T* logits) {
    const int64_t label = args_.labels.data<int32_t>()[r];
    const T largest = maximum(logits, vocabulary_);
    if (args_.predicted) {
      const T* place =
          std::find(logits, logits + vocabulary_, largest);  // past the end if all are NaN
      args_.predicted.data<int32_t>()[r] =
          static_cast<int32_t>(std::min<int64_t>(place - logits, vocabulary_ - 1));
    }
    double loss = 0;
    if (label >= 0) {
      const double below = static_cast<double>(logits[label]) - static_cast<double>(largest);
      const double sum = exponentiate(logits, vocabulary_, largest);
      loss = std::log(sum) - below;
      if (args_.dhidden || args_.dweight) scale_gradient(logits, label, sum);
    } else if (args_.dhidden || args_.dweight) {
      std::fill(logits, logits + vocabulary_, T(0));
    }
    losses_[static_cast<size_t>(r)] = loss;
    if (args_.loss) args_.loss.data<T>()[r] = static_cast<T>(loss);
  }

  /// scale · (softmax − one-hot), from the exponentials.
  void scale_gradient(T* exponentials, int64_t label, double sum) const {
    const T factor = static_cast<T>(scale_ / sum);
#pragma omp simd
    for (int64_t i = 0; i < vocabulary_; ++i) exponentials[i] *= factor;
    exponentials[label] -= static_cast<T>(scale_);
  }

  core::Context& context_;
  const LinearCrossEntropy& args_;
  int64_t rows_, width_, vocabulary_;
  double scale_;
  std::vector<double> losses_;
};

}  // namespace

int64_t cross_entropy_block_rows(int64_t rows, int64_t vocabulary, int64_t element_size) {
  const int64_t fitting = (int64_t{4} << 20) / (vocabulary * element_size);
  return std::clamp<int64_t>(fitting, std::min<int64_t>(rows, 128), std::max<int64_t>(rows, 1));
}

LossSum linear_cross_entropy(core::Context& context, const LinearCrossEntropy& args) {
  check_labels(args.labels, args.weight.extent(0));
  return core::dispatch_float("linear_cross_entropy", args.hidden.dtype(),
                              [&]<class T>(T) { return CrossEntropy<T>(context, args).run(); });
}

}  // namespace longhaul::kernels::cpu
