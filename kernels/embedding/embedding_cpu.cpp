#include <algorithm>

#include "kernels/core/dispatch.h"
#include "kernels/core/parallel.h"
#include "kernels/embedding/embedding.h"

namespace longhaul::kernels::cpu {
namespace {

/// Tokens come from files: one that the vocabulary does not hold would read or write foreign
/// memory.
void check_tokens(const core::TensorView& tokens, int64_t vocabulary) {
  const int32_t* token = tokens.data<int32_t>();
  for (int64_t r = 0; r < tokens.elements(); ++r) {
    if (token[r] < 0 || token[r] >= vocabulary) {
      throw core::Error(core::message("embedding: token ", token[r], " in row ", r,
                                      " is outside the vocabulary [0, ", vocabulary, ")"));
    }
  }
}

}  // namespace

void embedding_forward(core::Context& context, const EmbeddingForward& args) {
  check_tokens(args.tokens, args.weight.extent(0));
  core::dispatch_float("embedding_forward", args.y.dtype(), [&]<class T>(T) {
    const int64_t width = args.y.extent(1);
    const int32_t* token = args.tokens.data<int32_t>();
    core::parallel_ranges(context, args.y.extent(0), 1 + 16384 / (width + 1),
                          [&](int64_t begin, int64_t end) {
                            for (int64_t r = begin; r < end; ++r) {
                              const T* from = args.weight.data<T>() + token[r] * width;
                              std::copy(from, from + width, args.y.data<T>() + r * width);
                            }
                          });
  });
}

void embedding_backward(core::Context& context, const EmbeddingBackward& args) {
  check_tokens(args.tokens, args.dweight.extent(0));
  core::dispatch_float("embedding_backward", args.dy.dtype(), [&]<class T>(T) {
    const int64_t rows = args.dy.extent(0), width = args.dy.extent(1);
    const int32_t* token = args.tokens.data<int32_t>();
    // Threads share the columns: each adds all rows, in order, into columns that are its own.
    core::parallel_ranges(context, width, 64, [&](int64_t begin, int64_t end) {
      for (int64_t r = 0; r < rows; ++r) {
        const T* from = args.dy.data<T>() + r * width;
        T* to = args.dweight.data<T>() + token[r] * width;
#pragma omp simd
        for (int64_t i = begin; i < end; ++i) to[i] += from[i];
      }
    });
  });
}

}  // namespace longhaul::kernels::cpu
