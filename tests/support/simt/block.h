// One block of CUDA threads on one thread of the host. Every CUDA thread is a fiber; a scheduler
// resumes them in an order drawn from a seed, so that what works by luck of the order does not stay
// unseen. What a kernel does wrong is written down (first fault only) and thrown when the launch
// ends: a barrier that not all threads reach, a warp operation that not all lanes take part in, and
// whatever shared memory (shared_memory.h) finds.
#pragma once

#include <boost/context/fiber.hpp>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace longhaul::simt {

/// What a kernel did wrong.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

struct Launch {
  Index grid{1, 1, 1}, block{1, 1, 1};
  int64_t shared_bytes = 0;
};

constexpr int kWarp = 32;

/// Which operation a thread waits in; lanes of a warp must agree.
enum class Wait : uint8_t { kNone, kBlock, kWarp, kShuffle, kVote, kMatrix };

class Block;

/// 16 bytes on their way to shared memory.
struct AsyncCopy {
  unsigned char* to;
  const void* from;
  uint32_t group;
};

struct Thread {
  Block* block = nullptr;
  int number = 0;  ///< in the block
  Index index;
  Wait wait = Wait::kNone;
  bool done = false;
  uint32_t block_epoch = 0;       ///< barriers passed
  uint32_t warp_epoch = 0;        ///< __syncwarp passed
  std::vector<AsyncCopy> copies;  ///< that this thread has not waited for, oldest first
  uint32_t committed = 0;         ///< groups of copies
  boost::context::fiber self, scheduler;

  int lane() const { return number % kWarp; }
  int warp() const { return number / kWarp; }
};

/// What lanes of a warp exchange; two buffers, because a fast lane may already fill the next one
/// while a slow lane still reads.
struct Mailbox {
  static constexpr int64_t kBytes = 64;
  alignas(16) unsigned char bytes[2][kWarp][kBytes];
  uint32_t filled[2] = {0, 0};  ///< lanes that have put something in
  bool ready[2] = {false, false};
  uint64_t uses[kWarp] = {};  ///< exchanges each lane began
};

class Block {
 public:
  Block(const Launch& launch, uint64_t seed);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  /// Runs `kernel` in every thread of block `index`.
  void run(Index index, const std::function<void()>& kernel);
  /// Empty if nothing is wrong so far.
  const std::string& fault() const { return fault_; }

  // What device code sees, called on its fibers.
  const Launch& launch() const { return launch_; }
  Index index() const { return index_; }
  void report(const std::string& what);
  void barrier();
  void warp_barrier();
  /// Puts `size` bytes in, waits for all 32 lanes, returns their mailboxes until the lane's next
  /// exchange. `complete`, if given, is run once, by the last lane to come, on all mailboxes.
  using Complete = void (*)(unsigned char (*mailboxes)[Mailbox::kBytes]);
  unsigned char (*exchange(Wait kind, const void* value, int64_t size,
                           Complete complete = nullptr))[Mailbox::kBytes];

  /// Shared memory and its shadow belong to shared_memory.h.
  std::vector<unsigned char> shared;  // of operator new: aligned to 16 bytes
  std::vector<struct Shadow> shadow;

 private:
  void start(Thread& thread);
  void suspend(Thread& thread, Wait wait);
  void schedule();
  void release_block();
  bool release_warp(int warp);
  uint64_t draw();

  const Launch launch_;
  const int count_;
  uint64_t random_;
  Index index_;
  const std::function<void()>* kernel_ = nullptr;
  std::vector<Thread> threads_;
  std::vector<Mailbox> mailboxes_;
  std::vector<int> ready_;
  int waiting_ = 0, done_ = 0;  ///< at the barrier, ended
  std::string fault_;
  bool stopping_ = false;
};

/// The thread whose code runs now. Null outside kernels.
Thread*& current_thread();

/// Runs a whole grid, block after block in an order drawn from the seed; throws Fault.
void run_grid(const Launch& launch, const std::function<void()>& kernel);

/// The order of threads and blocks of the launches that follow, on this host thread.
void set_seed(uint64_t seed);

}  // namespace longhaul::simt
