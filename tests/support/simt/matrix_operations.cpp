#include "tests/support/simt/matrix_operations.h"

#include <bit>
#include <cstring>

#include "tests/support/simt/shared_memory.h"

namespace longhaul::simt {
namespace {

/// What one lane brings to a product; D replaces c when the last lane has come.
struct Operands {
  float c[4];
  uint32_t a[4], b[2];
};
static_assert(sizeof(Operands) <= Mailbox::kBytes);

float bf16(uint32_t word, int half) {
  return std::bit_cast<float>(half == 0 ? word << 16 : word & 0xffff0000u);
}
float tf32(uint32_t word) { return std::bit_cast<float>(word & 0xffffe000u); }

using Mailboxes = unsigned char (*)[Mailbox::kBytes];

/// D = A B + C with A [16, kDepth], B [kDepth, 8]; lane (g, t) = (lane/4, lane mod 4) holds C at
/// rows g, g + 8, columns 2t, 2t + 1.
template <int kDepth, class Gather>
void complete(Mailboxes mailboxes, const Gather& gather) {
  float a[16][kDepth], b[kDepth][8];
  for (int lane = 0; lane < kWarp; ++lane) {
    Operands own;
    std::memcpy(&own, mailboxes[lane], sizeof own);
    gather(own, lane / 4, lane % 4, a, b);
  }
  for (int lane = 0; lane < kWarp; ++lane) {
    Operands own;
    std::memcpy(&own, mailboxes[lane], sizeof own);
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
      float sum = own.c[i];
      for (int k = 0; k < kDepth; ++k) sum += a[row][k] * b[k][column];
      own.c[i] = sum;
    }
    std::memcpy(mailboxes[lane], own.c, sizeof own.c);
  }
}

void complete_bf16(Mailboxes mailboxes) {
  complete<16>(mailboxes, [](const Operands& own, int g, int t, auto& a, auto& b) {
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < 4; ++i) {
        a[g + 8 * (i % 2)][2 * t + 8 * (i / 2) + half] = bf16(own.a[i], half);
      }
      for (int i = 0; i < 2; ++i) b[2 * t + 8 * i + half][g] = bf16(own.b[i], half);
    }
  });
}

void complete_tf32(Mailboxes mailboxes) {
  complete<8>(mailboxes, [](const Operands& own, int g, int t, auto& a, auto& b) {
    for (int i = 0; i < 4; ++i) a[g + 8 * (i % 2)][t + 4 * (i / 2)] = tf32(own.a[i]);
    for (int i = 0; i < 2; ++i) b[t + 4 * i][g] = tf32(own.b[i]);
  });
}

void multiply_add(float (&c)[4], const Operands& operands, Block::Complete complete) {
  const Thread& thread = *current_thread();
  auto* mailboxes = thread.block->exchange(Wait::kMatrix, &operands, sizeof operands, complete);
  std::memcpy(c, mailboxes[thread.lane()], sizeof c);
}

}  // namespace

void load_matrices(const unsigned char* row, bool transposed, uint32_t (&words)[4]) {
  const Thread& thread = *current_thread();
  if (reinterpret_cast<uintptr_t>(row) % 16 != 0) {
    thread.block->report("ldmatrix of a row that is not aligned to 16 bytes");
  }
  shared_read(row, 16);
  auto* rows = thread.block->exchange(Wait::kMatrix, row, 16);
  const int g = thread.lane() / 4, t = thread.lane() % 4;
  for (int m = 0; m < 4; ++m) {
    uint16_t pair[2];
    for (int half = 0; half < 2; ++half) {
      const int i = transposed ? 2 * t + half : g, j = transposed ? g : 2 * t + half;
      std::memcpy(&pair[half], rows[8 * m + i] + 2 * j, 2);
    }
    words[m] = uint32_t{pair[0]} | uint32_t{pair[1]} << 16;
  }
}

void multiply_add_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  Operands operands;
  std::memcpy(operands.c, c, sizeof c);
  std::memcpy(operands.a, a, sizeof a);
  std::memcpy(operands.b, b, sizeof b);
  multiply_add(c, operands, complete_bf16);
}

void multiply_add_tf32(float (&c)[4], const float (&a)[4], const float (&b)[2]) {
  Operands operands;
  std::memcpy(operands.c, c, sizeof c);
  std::memcpy(operands.a, a, sizeof a);
  std::memcpy(operands.b, b, sizeof b);
  multiply_add(c, operands, complete_tf32);
}

}  // namespace longhaul::simt
