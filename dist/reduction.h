// Sums and maxima over the contributions of all ranks, in one order.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/core/dtype.h"

namespace longhaul::dist {

enum class Reduction { kSum, kMax };

/// Ranks are combined along a binary tree, in the order in which recursive doubling meets them: of
/// R ranks the last R − P (P: largest power of two in R) are joined to the first ones; then
/// neighbours, then neighbouring pairs, …, the lower rank always on the left. Whoever combines in
/// this order has the same bits.

/// target[i] = the tree over sources[0][i], sources[1][i], … for `count` elements. bf16 accumulates
/// in fp32 and rounds once; int32 wraps; a NaN in any source gives a NaN maximum. target may be one
/// of the sources.
void reduce(Reduction reduction, core::DType dtype, const std::vector<const void*>& sources,
            void* target, int64_t count);

/// What parts of the tree are held in: fp32 for bf16.
core::DType accumulator_of(core::DType dtype);

/// `count` elements to the accumulator's type, and back.
void widen(core::DType dtype, const void* source, void* accumulators, int64_t count);
void narrow(core::DType dtype, const void* accumulators, void* target, int64_t count);

}  // namespace longhaul::dist
