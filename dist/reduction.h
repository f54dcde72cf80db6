// Sums and maxima over the contributions of all ranks, in rank order.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/core/dtype.h"

namespace longhaul::dist {

enum class Reduction { kSum, kMax };

/// target[i] = sources[0][i] ⊕ sources[1][i] ⊕ …, always from the first to the last, for `count`
/// elements. bf16 accumulates in fp32 and rounds once; int32 wraps; a NaN in any source gives a NaN
/// maximum. target may be one of the sources.
void reduce(Reduction reduction, core::DType dtype, const std::vector<const void*>& sources,
            void* target, int64_t count);

}  // namespace longhaul::dist
