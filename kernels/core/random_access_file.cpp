#include "kernels/core/random_access_file.h"

#include <fcntl.h>
#include <glog/logging.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "kernels/core/error.h"

namespace longhaul::core {

namespace {

constexpr int kAttempts = 4;
constexpr std::chrono::seconds kPause{1};
constexpr int64_t kPieceBytes = int64_t{1} << 20;

FileDescriptor open_file(const std::filesystem::path& path) {
  // Non-blocking, or opening a pipe would wait for its writer.
  return FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

/// 0, or the reason in errno's terms; `read` counts up.
int read_all(int file, int64_t begin, std::span<std::byte> out, size_t& read) {
  while (read < out.size()) {
    const ssize_t count = ::pread(file, out.data() + read, out.size() - read,
                                  static_cast<off_t>(begin + static_cast<int64_t>(read)));
    if (count == 0) return 0;
    if (count < 0 && errno != EINTR) return errno;
    if (count > 0) read += static_cast<size_t>(count);
  }
  return 0;
}

}  // namespace

RandomAccessFile::RandomAccessFile(const std::filesystem::path& path)
    : path_(path), file_(open_file(path)) {
  const auto refuse = [&](const char* what) {
    throw InputError(message(path.string(), ": cannot be read: ", what));
  };
  if (!file_) refuse(std::strerror(errno));
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) refuse(std::strerror(errno));
  if (S_ISDIR(status.st_mode)) refuse("it is a folder, expected a file");
  if (!S_ISREG(status.st_mode)) refuse("it is not a regular file");
  size_ = status.st_size;
}

void RandomAccessFile::read(int64_t begin, std::span<std::byte> out) const {
  CHECK(begin >= 0 && begin <= size_ && std::ssize(out) <= size_ - begin)
      << path_.string() << ": bytes [" << begin << ", +" << out.size() << ") of " << size_;
  size_t count = 0;
  int problem = read_all(file_.get(), begin, out, count);
  for (int attempt = 1; problem != 0 && attempt < kAttempts; ++attempt) {
    std::this_thread::sleep_for(kPause);
    const FileDescriptor again = open_file(path_);  // the old one may be stale for good
    problem = again ? read_all(again.get(), begin, out, count) : errno;
  }
  if (problem != 0) {
    throw Error(message(path_.string(), ": cannot be read: ", std::strerror(problem)));
  }
  if (count == out.size()) return;
  struct stat status {};
  const int64_t end = ::fstat(file_.get(), &status) == 0 ? status.st_size : begin;
  throw Error(message(path_.string(), ": ends at byte ", end, ", expected ", size_,
                      " bytes, which it had when it was opened"));
}

void RandomAccessFile::for_each_piece(
    const std::function<void(std::string_view piece)>& take) const {
  std::string piece(static_cast<size_t>(std::min(kPieceBytes, size_)), '\0');
  for (int64_t begin = 0; begin < size_; begin += kPieceBytes) {
    piece.resize(static_cast<size_t>(std::min(kPieceBytes, size_ - begin)));
    read(begin, std::as_writable_bytes(std::span(piece)));
    take(piece);
  }
}

std::string read_file(const std::filesystem::path& path, int64_t most) {
  const RandomAccessFile file(path);
  if (file.size() > most) {
    throw InputError(
        message(path.string(), ": has ", file.size(), " bytes, expected at most ", most));
  }
  return file.text(0, file.size());
}

}  // namespace longhaul::core
