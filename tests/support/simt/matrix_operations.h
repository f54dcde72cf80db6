// mma.sync and ldmatrix as loops, one call by each lane of a warp.
#pragma once

#include <cstdint>

namespace longhaul::simt {

/// ldmatrix.x4(.trans): lane i gives the address of a row of 8 bf16; lanes 8m to 8m + 7 those of
/// matrix m. words[m] holds row lane/4, columns 2(lane mod 4) and the next, of matrix m (or of its
/// transpose).
void load_matrices(const unsigned char* row, bool transposed, uint32_t (&words)[4]);

/// mma.m16n8k16: c += a b, operands bf16.
void multiply_add_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]);
/// mma.m16n8k8: c += a b; the lower 13 bits of the operands are not read.
void multiply_add_tf32(float (&c)[4], const float (&a)[4], const float (&b)[2]);

}  // namespace longhaul::simt
