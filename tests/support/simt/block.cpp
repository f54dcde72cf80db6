#include "tests/support/simt/block.h"

#include <algorithm>
#include <atomic>
#include <boost/context/fixedsize_stack.hpp>
#include <cstring>
#include <numeric>

#include "tests/support/simt/counts.h"
#include "tests/support/simt/shared_memory.h"

namespace longhaul::simt {

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStackBytes = 512 << 10;
#else
constexpr size_t kStackBytes = 64 << 10;
#endif

/// Stacks that fibers have left, for the next ones: launches are many and short.
class StackPool {
 public:
  boost::context::stack_context allocate() {
    auto& free = stacks();
    if (free.empty()) return boost::context::fixedsize_stack(kStackBytes).allocate();
    const boost::context::stack_context stack = free.back();
    free.pop_back();
    return stack;
  }
  void deallocate(boost::context::stack_context& stack) { stacks().push_back(stack); }

 private:
  struct Stacks : std::vector<boost::context::stack_context> {
    ~Stacks() {
      for (auto& stack : *this) boost::context::fixedsize_stack(kStackBytes).deallocate(stack);
    }
  };
  static Stacks& stacks() {
    static thread_local Stacks all;
    return all;
  }
};

uint64_t& seed() {
  static thread_local uint64_t value = 1;
  return value;
}

const char* name_of(Wait wait) {
  switch (wait) {
    case Wait::kBlock:
      return "__syncthreads";
    case Wait::kWarp:
      return "__syncwarp";
    case Wait::kShuffle:
      return "a shuffle";
    case Wait::kVote:
      return "a vote";
    case Wait::kMatrix:
      return "a matrix operation";
    default:
      return "nothing";
  }
}

std::string text_of(const Index& i) {
  return "(" + std::to_string(i.x) + ", " + std::to_string(i.y) + ", " + std::to_string(i.z) + ")";
}

}  // namespace

Thread*& current_thread() {
  static thread_local Thread* thread = nullptr;
  return thread;
}

void set_seed(uint64_t value) { seed() = value; }

Block::Block(const Launch& launch, uint64_t the_seed)
    : launch_(launch),
      count_(static_cast<int>(launch.block.x * launch.block.y * launch.block.z)),
      random_(the_seed * 2 + 1),
      threads_(static_cast<size_t>(count_)),
      mailboxes_(static_cast<size_t>((count_ + kWarp - 1) / kWarp)) {
  for (int i = 0; i < count_; ++i) {
    Thread& thread = threads_[static_cast<size_t>(i)];
    const unsigned n = static_cast<unsigned>(i);
    thread.block = this;
    thread.number = i;
    thread.index = {n % launch.block.x, n / launch.block.x % launch.block.y,
                    n / launch.block.x / launch.block.y};
    start(thread);
  }
  shared.resize(static_cast<size_t>(launch.shared_bytes));
  shadow.resize((shared.size() + 1) / 2);
}

Block::~Block() { current_thread() = nullptr; }

/// A fiber serves block after block, so that its stack is made once.
void Block::start(Thread& thread) {
  thread.self = boost::context::fiber(
      std::allocator_arg, StackPool(), [this, &thread](boost::context::fiber&& scheduler) {
        thread.scheduler = std::move(scheduler);
        for (;;) {
          try {
            (*kernel_)();
            thread.done = true;
            ++done_;
          } catch (const Fault& fault) {
            report(fault.what());  // the schedule ends here, and with it the launch
          }
          thread.scheduler = std::move(thread.scheduler).resume();
        }
        return std::move(thread.scheduler);
      });
}

void Block::run(Index index, const std::function<void()>& kernel) {
  index_ = index;
  kernel_ = &kernel;
  done_ = waiting_ = 0;
  std::fill(shared.begin(), shared.end(), 0xff);
  std::fill(shadow.begin(), shadow.end(), Shadow{});
  for (Mailbox& mailbox : mailboxes_) mailbox = Mailbox{};
  for (Thread& thread : threads_) {
    thread.done = false;
    thread.wait = Wait::kNone;
    thread.block_epoch = thread.warp_epoch = thread.committed = 0;
    thread.copies.clear();
  }
  ready_.resize(static_cast<size_t>(count_));
  std::iota(ready_.begin(), ready_.end(), 0);
  schedule();
}

uint64_t Block::draw() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_;
}

void Block::schedule() {
  while (done_ < count_ && fault_.empty()) {
    if (ready_.empty()) {
      std::string who;
      for (const Thread& t : threads_) {
        if (!t.done && who.size() < 200)
          who += " " + std::to_string(t.number) + ":" + name_of(t.wait);
      }
      report("threads wait for others that do not come:" + who);
      return;
    }
    const size_t pick = draw() % ready_.size();
    Thread& thread = threads_[static_cast<size_t>(ready_[pick])];
    ready_[pick] = ready_.back();
    ready_.pop_back();
    current_thread() = &thread;
    thread.self = std::move(thread.self).resume();
    current_thread() = nullptr;
    if (thread.done && waiting_ > 0) report("a thread ended while others are in __syncthreads");
  }
}

void Block::suspend(Thread& thread, Wait wait) {
  thread.wait = wait;
  thread.scheduler = std::move(thread.scheduler).resume();
  thread.wait = Wait::kNone;
}

void Block::report(const std::string& what) {
  if (!fault_.empty()) return;
  fault_ = what + " (block " + text_of(index_);
  if (const Thread* t = current_thread()) fault_ += ", thread " + text_of(t->index);
  fault_ += ")";
}

void Block::barrier() {
  Thread& thread = *current_thread();
  if (done_ > 0) report("__syncthreads after a thread of the block has ended");
  if (++waiting_ == count_) {
    waiting_ = 0;
    for (Thread& t : threads_) {
      ++t.block_epoch;
      if (&t != &thread) ready_.push_back(t.number);
    }
    return;
  }
  suspend(thread, Wait::kBlock);
}

void Block::warp_barrier() {
  exchange(Wait::kWarp, nullptr, 0);
  ++current_thread()->warp_epoch;
}

unsigned char (*Block::exchange(Wait kind, const void* value, int64_t size,
                                Complete complete))[Mailbox::kBytes] {
  Thread& thread = *current_thread();
  Mailbox& box = mailboxes_[static_cast<size_t>(thread.warp())];
  const int lane = thread.lane(), buffer = static_cast<int>(box.uses[lane]++ % 2);
  if (size > 0) std::memcpy(box.bytes[buffer][lane], value, static_cast<size_t>(size));
  const int first = thread.warp() * kWarp;
  const int lanes = std::min(kWarp, count_ - first);
  if (lanes < kWarp) report("a warp operation in a warp of fewer than 32 threads");
  if (++box.filled[buffer] < static_cast<uint32_t>(lanes)) {
    suspend(thread, kind);
    return box.bytes[buffer];
  }
  box.filled[buffer] = 0;
  for (int i = first; i < first + lanes; ++i) {
    Thread& t = threads_[static_cast<size_t>(i)];
    if (&t == &thread) continue;
    if (t.wait != kind) {
      report(std::string("lanes of a warp meet in ") + name_of(kind) + " and in " +
             name_of(t.wait));
    }
    ready_.push_back(i);
  }
  if (complete != nullptr) complete(box.bytes[buffer]);
  return box.bytes[buffer];
}

namespace {
std::atomic<int64_t> grids = 0;
}
int64_t grids_run() { return grids; }

void run_grid(const Launch& launch, const std::function<void()>& kernel) {
  const uint64_t blocks = static_cast<uint64_t>(launch.grid.x) * launch.grid.y * launch.grid.z;
  if (blocks == 0) return;
  ++grids;
  const uint64_t own_seed = seed()++;
  Block block(launch, own_seed);
  // A stride without a common divisor visits every block once.
  uint64_t stride = own_seed * 2654435761u % blocks;
  while (std::gcd(stride, blocks) != 1) ++stride;
  uint64_t at = own_seed % blocks;
  for (uint64_t i = 0; i < blocks; ++i, at = (at + stride) % blocks) {
    const Index index{static_cast<unsigned>(at % launch.grid.x),
                      static_cast<unsigned>(at / launch.grid.x % launch.grid.y),
                      static_cast<unsigned>(at / launch.grid.x / launch.grid.y)};
    block.run(index, kernel);
    if (!block.fault().empty()) throw Fault(block.fault());
  }
}

}  // namespace longhaul::simt
