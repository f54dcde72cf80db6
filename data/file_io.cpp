#include "data/file_io.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>

#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
constexpr size_t kBufferBytes = size_t{1} << 20;

[[noreturn]] void fail(const std::filesystem::path& path, const char* doing) {
  throw core::Error(core::message(path.string(), ": cannot ", doing, ": ", std::strerror(errno)));
}

uint32_t extended(uint32_t crc, const void* bytes, size_t count) {
  return static_cast<uint32_t>(::crc32_z(crc, static_cast<const Bytef*>(bytes), count));
}
}  // namespace

uint32_t crc32(const core::RandomAccessFile& file) {
  uint32_t crc = 0;
  file.for_each_piece(
      [&](std::string_view piece) { crc = extended(crc, piece.data(), piece.size()); });
  return crc;
}

uint32_t crc32(std::string_view text) { return extended(0, text.data(), text.size()); }

OutputFile::OutputFile(const std::filesystem::path& path) : path_(path) {
  file_ =
      core::FileDescriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!file_) fail(path_, "create");
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
  crc_ = extended(crc_, buffer_.data(), buffer_.size());
  buffer_.clear();
}

void OutputFile::finish() {
  flush();
  if (::fsync(file_.get()) != 0) fail(path_, "fsync");
  if (file_.close() != 0) fail(path_, "close");
}

void sync_folder(const std::filesystem::path& folder) {
  const core::FileDescriptor file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file) fail(folder, "open");
  // Some file systems cannot sync a folder and say so; there is nothing better to do on them.
  if (::fsync(file.get()) != 0 && errno != EINVAL && errno != ENOTSUP) fail(folder, "fsync");
}

}  // namespace longhaul::data
