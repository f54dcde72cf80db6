#include "launch/run_lock.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include "kernels/core/error.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::message;

enum class Outcome { kDone, kHeldByOther, kUnsupported };

/// `type`: F_WRLCK or F_UNLCK, over [begin, begin + count), count 0: without end.
Outcome set_lock(int file, short type, int64_t begin, int64_t count, const fs::path& path) {
  struct flock request {};
  request.l_type = type;
  request.l_whence = SEEK_SET;
  request.l_start = begin;
  request.l_len = count;
  if (::fcntl(file, F_OFD_SETLK, &request) == 0) return Outcome::kDone;
  switch (errno) {
    case EAGAIN:
    case EACCES:
      return Outcome::kHeldByOther;
    case ENOLCK:
    case EOPNOTSUPP:
    case ENOSYS:
    case EINVAL:
      return Outcome::kUnsupported;
    default:
      throw core::Error(message(path.string(), ": cannot be locked: ", std::strerror(errno)));
  }
}

/// What the holder wrote about itself.
std::string holder(int file) {
  std::array<char, 200> text{};
  const ssize_t count = ::pread(file, text.data(), text.size() - 1, 0);
  std::string line(text.data(), count > 0 ? static_cast<size_t>(count) : 0);
  line = line.substr(0, line.find('\n'));
  for (char& c : line) {
    if (c < ' ' || c > '~') c = '?';
  }
  return line.empty() ? "a job" : line;
}

/// Takes every byte. Rank 0's part.
Outcome take_all(int file, const fs::path& path, double patience_s) {
  const auto start = std::chrono::steady_clock::now();
  bool told = false;
  for (;;) {
    const Outcome outcome = set_lock(file, F_WRLCK, 0, 0, path);
    if (outcome != Outcome::kHeldByOther) return outcome;
    const std::chrono::duration<double> waited = std::chrono::steady_clock::now() - start;
    if (waited.count() >= patience_s) {
      throw core::InputError(message(path.parent_path().string(), ": ", holder(file),
                                     " is writing to this run, expected it to end first"));
    }
    if (!told) LOG(WARNING) << path.parent_path().string() << ": waiting for " << holder(file);
    told = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

void sign(int file, const fs::path& path) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  const std::string line = message("the job of process ", ::getpid(), " on ", host.data(), "\n");
  if (::ftruncate(file, 0) != 0 ||
      ::pwrite(file, line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
    throw core::Error(message(path.string(), ": cannot be written: ", std::strerror(errno)));
  }
}

}  // namespace

RunLock::RunLock(const fs::path& folder, dist::Communicator& world, double patience_s) {
  const fs::path path = folder / kRunLockFile;
  const int rank = world.rank();
  // Others open it once the first rank has made it.
  const auto open = [&](int flags) {
    file_ = model::FileDescriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC | flags, 0666));
    if (!file_) {
      throw core::Error(message(path.string(), ": cannot be opened: ", std::strerror(errno)));
    }
  };
  bool supported = true;
  if (rank == 0) {
    open(O_CREAT);
    supported = take_all(file_.get(), path, patience_s) == Outcome::kDone;
    LOG_IF(WARNING, !supported) << path.string() << ": this file system has no locks; take care "
                                << "that no other job uses " << folder.string();
    sign(file_.get(), path);
    if (supported) set_lock(file_.get(), F_UNLCK, 1, 0, path);
  }
  supported = world.max(supported ? 0.0 : 1.0) == 0;
  if (rank == 0 || !supported) return;
  open(0);
  if (set_lock(file_.get(), F_WRLCK, rank, 1, path) == Outcome::kHeldByOther) {
    throw core::Error(message(path.string(), ": rank ", rank, "'s place is taken"));
  }
}

}  // namespace longhaul::launch
