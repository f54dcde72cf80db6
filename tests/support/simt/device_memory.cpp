#include "tests/support/simt/device_memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace longhaul::simt {
namespace {

constexpr int64_t kRange = kDeviceBytes, kPage = 4096;
constexpr int64_t kFilled = int64_t{16} << 20;  // pages that exist make opening and closing slow

/// Blocks lie behind each other; the range up to the last one is opened and closed as a whole,
/// which is one cheap call.
class Arena {
 public:
  Arena() {
    void* range =
        mmap(nullptr, kRange, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    begin_ = range == MAP_FAILED ? nullptr : static_cast<char*>(range);
  }

  void* allocate(int64_t bytes) {
    const std::lock_guard lock(mutex_);
    const int64_t size = (bytes + kPage - 1) / kPage * kPage;
    auto& reusable = free_[size];
    char* block = nullptr;
    if (!reusable.empty()) {
      block = reusable.begin()->first;
      reusable.erase(reusable.begin());
    } else if (begin_ != nullptr && used_ + size <= kRange) {
      block = begin_ + used_;
      used_ += size;
    } else {
      return nullptr;
    }
    mprotect(block, static_cast<size_t>(size), PROT_READ | PROT_WRITE);
    if (size <= kFilled) std::memset(block, 0xff, static_cast<size_t>(size));
    live_[block] = size;
    if (open_ == 0) mprotect(block, static_cast<size_t>(size), PROT_NONE);
    return block;
  }

  void release(void* pointer) {
    const std::lock_guard lock(mutex_);
    const auto found = live_.find(static_cast<char*>(pointer));
    if (found == live_.end()) return;
    free_[found->second][found->first] = true;
    live_.erase(found);
  }

  int64_t used() {
    const std::lock_guard lock(mutex_);
    return used_;
  }

  void open() {
    const std::lock_guard lock(mutex_);
    if (open_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void close() {
    const std::lock_guard lock(mutex_);
    if (--open_ == 0) protect(PROT_NONE);
  }

 private:
  void protect(int access) {
    if (used_ > 0) mprotect(begin_, static_cast<size_t>(used_), access);
  }

  std::mutex mutex_;
  char* begin_ = nullptr;
  int64_t used_ = 0;
  std::map<char*, int64_t> live_;
  std::map<int64_t, std::map<char*, bool>> free_;
  int open_ = 0;
};

Arena& arena() {
  static Arena all;
  return all;
}

}  // namespace

int64_t device_bytes_used() { return arena().used(); }
int shared_bytes_of_block() {
  static const int bytes = [] {
    const char* kib = std::getenv("LONGHAUL_EMULATED_SHARED_KIB");
    return (kib == nullptr ? 163 : std::atoi(kib)) << 10;
  }();
  return bytes;
}

void* device_allocate(int64_t bytes) { return arena().allocate(bytes); }
void device_free(void* block) { arena().release(block); }
DeviceAccess::DeviceAccess() { arena().open(); }
DeviceAccess::~DeviceAccess() { arena().close(); }

}  // namespace longhaul::simt
