#include "tests/support/simt/shared_memory.h"

namespace longhaul::simt {
namespace {

constexpr int16_t kOnItsWay = -2;
constexpr int64_t kCopied = 16;

/// Was (thread, epochs) before what the current thread does now?
bool is_ordered(const Thread& now, int thread, int warp, uint32_t block_epoch,
                uint32_t warp_epoch) {
  if (thread == now.number || block_epoch < now.block_epoch) return true;
  return warp == now.warp() && warp_epoch < now.warp_epoch;
}

Shadow* cells(Block& block, const unsigned char* at, int64_t bytes) {
  const int64_t offset = at - block.shared.data();
  if (offset < 0 || offset + bytes > static_cast<int64_t>(block.shared.size())) {
    block.report("access outside shared memory at byte " + std::to_string(offset));
    return nullptr;
  }
  return block.shadow.data() + offset / 2;
}

std::string text_of(const Block& block, const unsigned char* at) {
  return " at byte " + std::to_string(at - block.shared.data());
}

/// Device code that went out of bounds would go on with foreign memory: it must not.
[[noreturn]] void stop() { throw Fault("access outside shared memory"); }

}  // namespace

void shared_read(const unsigned char* at, int64_t bytes) {
  const Thread& now = *current_thread();
  Block& block = *now.block;
  Shadow* cell = cells(block, at, bytes);
  if (cell == nullptr) stop();
  for (int64_t i = 0; i < bytes / 2; ++i, ++cell) {
    if (cell->writer == kOnItsWay) {
      block.report("read of shared memory that a copy is on its way to" + text_of(block, at));
    } else if (cell->writer < 0) {
      block.report("read of shared memory that nobody wrote" + text_of(block, at));
    } else if (!is_ordered(now, cell->writer, cell->writer / kWarp, cell->write_block,
                           cell->write_warp)) {
      block.report("read of shared memory that thread " + std::to_string(cell->writer) +
                   " wrote, without a barrier between" + text_of(block, at));
    }
    const bool fresh = cell->reader == -1 || cell->read_block < now.block_epoch;
    const auto number = static_cast<int16_t>(now.number), warp = static_cast<int16_t>(now.warp());
    if (fresh) {
      cell->reader = number;
      cell->reader_warp = warp;
    } else {
      if (cell->reader != number) cell->reader = -2;
      if (cell->reader_warp != warp) cell->reader_warp = -2;
    }
    cell->read_block = now.block_epoch;
    cell->read_warp = now.warp_epoch;
  }
}

void shared_write(const unsigned char* at, int64_t bytes) {
  const Thread& now = *current_thread();
  Block& block = *now.block;
  Shadow* cell = cells(block, at, bytes);
  if (cell == nullptr) stop();
  for (int64_t i = 0; i < bytes / 2; ++i, ++cell) {
    if (cell->writer == kOnItsWay) {
      block.report("write of shared memory that a copy is on its way to" + text_of(block, at));
    }
    if (cell->writer >= 0 &&
        !is_ordered(now, cell->writer, cell->writer / kWarp, cell->write_block, cell->write_warp)) {
      block.report("write of shared memory that thread " + std::to_string(cell->writer) +
                   " wrote, without a barrier between" + text_of(block, at));
    }
    if (cell->reader != -1 &&
        !is_ordered(now, cell->reader, cell->reader_warp, cell->read_block, cell->read_warp)) {
      block.report("write of shared memory that another thread reads, without a barrier between" +
                   text_of(block, at));
    }
    *cell = Shadow{};
    cell->writer = static_cast<int16_t>(now.number);
    cell->write_block = now.block_epoch;
    cell->write_warp = now.warp_epoch;
  }
}

void begin_copy(unsigned char* to, const void* from) {
  shared_write(to, kCopied);
  Thread& now = *current_thread();
  Shadow* cell = cells(*now.block, to, kCopied);
  for (int64_t i = 0; i < kCopied / 2; ++i) cell[i].writer = kOnItsWay;
  now.copies.push_back({to, from, now.committed});
}

void commit_copies() { ++current_thread()->committed; }

void wait_for_copies(uint32_t pending) {
  Thread& now = *current_thread();
  size_t arrived = 0;
  for (; arrived < now.copies.size(); ++arrived) {
    const AsyncCopy& copy = now.copies[arrived];
    if (copy.group + pending >= now.committed) break;
    Shadow* cell = cells(*now.block, copy.to, kCopied);
    for (int64_t i = 0; i < kCopied / 2; ++i) cell[i] = Shadow{};
    shared_write(copy.to, kCopied);
    std::memcpy(copy.to, copy.from, kCopied);
  }
  now.copies.erase(now.copies.begin(), now.copies.begin() + static_cast<int64_t>(arrived));
}

unsigned char* shared_memory(int64_t offset, int64_t bytes) {
  Block& block = *current_thread()->block;
  if (offset + bytes > static_cast<int64_t>(block.shared.size())) {
    block.report("the kernel takes " + std::to_string(offset + bytes) +
                 " bytes of shared memory, the launch gave " + std::to_string(block.shared.size()));
    stop();
  }
  return block.shared.data() + offset;
}

}  // namespace longhaul::simt
