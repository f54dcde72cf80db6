#include "launch/file_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "kernels/core/error.h"
#include "kernels/core/host_name.h"

namespace longhaul::launch {

namespace {

namespace fs = std::filesystem;
using core::message;

struct flock request_of(short type, LockRange range) {
  struct flock request {};
  request.l_type = type;
  request.l_whence = SEEK_SET;
  request.l_start = range.begin;
  request.l_len = range.count;
  return request;
}

LockOutcome set_lock(int file, short type, LockRange range, const fs::path& path) {
  struct flock request = request_of(type, range);
  if (::fcntl(file, F_OFD_SETLK, &request) == 0) return LockOutcome::kDone;
  switch (errno) {
    case EAGAIN:
    case EACCES:
      return LockOutcome::kHeldByOther;
    case ENOLCK:
    case EOPNOTSUPP:
    case ENOSYS:
    case EINVAL:
      return LockOutcome::kUnsupported;
    default:
      throw core::Error(message(path.string(), ": cannot be locked: ", std::strerror(errno)));
  }
}

}  // namespace

core::FileDescriptor open_lock_file(const fs::path& path, bool create) {
  const int flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0);
  core::FileDescriptor file(::open(path.c_str(), flags, 0666));
  if (!file) {
    throw core::Error(message(path.string(), ": cannot be opened: ", std::strerror(errno)));
  }
  return file;
}

LockOutcome take_lock(const core::FileDescriptor& file, LockRange range, const fs::path& path) {
  return set_lock(file.get(), F_WRLCK, range, path);
}

void release_lock(const core::FileDescriptor& file, LockRange range, const fs::path& path) {
  set_lock(file.get(), F_UNLCK, range, path);
}

void sign_lock(const core::FileDescriptor& file, const std::string& what, const fs::path& path) {
  const std::string line =
      message(what, " of process ", ::getpid(), " on ", core::host_name(), "\n");
  if (::ftruncate(file.get(), 0) != 0 ||
      ::pwrite(file.get(), line.data(), line.size(), 0) != static_cast<ssize_t>(line.size())) {
    throw core::Error(message(path.string(), ": cannot be written: ", std::strerror(errno)));
  }
}

std::string lock_holder(const core::FileDescriptor& file) {
  std::array<char, 200> text{};
  const ssize_t count = ::pread(file.get(), text.data(), text.size() - 1, 0);
  std::string line(text.data(), count > 0 ? static_cast<size_t>(count) : 0);
  line = line.substr(0, line.find('\n'));
  for (char& c : line) {
    if (c < ' ' || c > '~') c = '?';
  }
  return line.empty() ? "a job" : line;
}

std::optional<bool> is_locked(const fs::path& path, LockRange range) {
  const core::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errno == ENOENT ? std::optional(false) : std::nullopt;
  struct flock request = request_of(F_WRLCK, range);
  if (::fcntl(file.get(), F_OFD_GETLK, &request) != 0) return std::nullopt;
  return request.l_type != F_UNLCK;
}

}  // namespace longhaul::launch
