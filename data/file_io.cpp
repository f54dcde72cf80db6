#include "data/file_io.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
constexpr size_t kBufferBytes = size_t{1} << 20;

[[noreturn]] void fail(const std::filesystem::path& path, const char* doing) {
  throw core::Error(core::message(path.string(), ": cannot ", doing, ": ", std::strerror(errno)));
}
}  // namespace

int Descriptor::close() {
  const int value = std::exchange(value_, -1);
  return value < 0 ? 0 : ::close(value);
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const auto refuse = [&](const char* why) {
    throw core::InputError(core::message(path.string(), ": ", why));
  };
  // Not blocking: a FIFO of this name must be an error, not a wait.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!file.is_open() || ::fstat(file.get(), &status) != 0) refuse(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) refuse("is not a regular file");
  size_ = status.st_size;
  if (size_ == 0) return;
  void* data = ::mmap(nullptr, static_cast<size_t>(size_), PROT_READ, MAP_SHARED, file.get(), 0);
  if (data == MAP_FAILED && errno == ENOMEM) throw std::bad_alloc();  // not the file's fault
  if (data == MAP_FAILED) refuse(std::strerror(errno));
  data_ = static_cast<const std::byte*>(data);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), static_cast<size_t>(size_));
}

uint32_t MappedFile::crc32() const {
  return static_cast<uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(data_), size_));
}

OutputFile::OutputFile(const std::filesystem::path& path) : path_(path) {
  file_ = Descriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!file_.is_open()) fail(path_, "create");
  buffer_.reserve(kBufferBytes);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const size_t now = std::min(bytes.size(), kBufferBytes - buffer_.size());
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(now));
    bytes = bytes.subspan(now);
    if (buffer_.size() == kBufferBytes) flush();
  }
}

void OutputFile::flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t now = ::write(file_.get(), buffer_.data() + done, buffer_.size() - done);
    if (now < 0 && errno == EINTR) continue;
    if (now < 0) fail(path_, "write");
    done += static_cast<size_t>(now);
  }
  crc_ = static_cast<uint32_t>(
      ::crc32_z(crc_, reinterpret_cast<const Bytef*>(buffer_.data()), buffer_.size()));
  buffer_.clear();
}

void OutputFile::finish() {
  flush();
  if (::fsync(file_.get()) != 0) fail(path_, "fsync");
  if (file_.close() != 0) fail(path_, "close");
}

void sync_folder(const std::filesystem::path& folder) {
  const Descriptor file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.is_open()) fail(folder, "open");
  // Some file systems cannot sync a folder and say so; there is nothing better to do on them.
  if (::fsync(file.get()) != 0 && errno != EINVAL && errno != ENOTSUP) fail(folder, "fsync");
}

}  // namespace longhaul::data
