#include "model/checkpoint/atomic_file.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "kernels/core/error.h"

namespace longhaul::model {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const char* what, int code) {
  throw core::Error(core::message(path.string(), ": ", what, ": ", std::strerror(code)));
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path) {
  // Exclusive creation: two writers of one path never share a partial file.
  for (int attempt = 0; !file_; ++attempt) {
    partial_ = folder_of(path) / core::message(".", path.filename().string(), ".", ::getpid(), "-",
                                               attempt, ".partial");
    file_ = core::FileDescriptor(
        ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!file_ && errno != EEXIST && errno != EINTR) fail(path_, "cannot be created", errno);
  }
}

AtomicFile::~AtomicFile() {
  if (file_) ::unlink(partial_.c_str());
}

void AtomicFile::write(const void* bytes, size_t count) {
  const char* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = ::write(file_.get(), next, count);
    if (written < 0) {
      if (errno == EINTR) continue;
      fail(path_, "cannot be written", errno);
    }
    next += written;
    count -= static_cast<size_t>(written);
    size_ += static_cast<uint64_t>(written);
  }
}

void AtomicFile::overwrite(uint64_t begin, const void* bytes, size_t count) {
  const char* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = ::pwrite(file_.get(), next, count, static_cast<off_t>(begin));
    if (written < 0) {
      if (errno == EINTR) continue;
      fail(path_, "cannot be written", errno);
    }
    next += written;
    begin += static_cast<uint64_t>(written);
    count -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(file_.get()) != 0) fail(path_, "cannot be written to disk", errno);
  if (::rename(partial_.c_str(), path_.c_str()) != 0) fail(path_, "cannot be replaced", errno);
  // Some file systems report a failed write only here. The data has been fsynced by now.
  if (::close(file_.release()) != 0 && errno != EINTR) fail(path_, "cannot be closed", errno);
  sync_folder(folder_of(path_));
}

void write_file_atomically(const std::filesystem::path& path, const std::string& bytes) {
  AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

void sync_folder(const std::filesystem::path& folder) {
  const core::FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor) fail(folder, "cannot be opened", errno);
  if (::fsync(descriptor.get()) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EROFS) {
    fail(folder, "cannot be written to disk", errno);
  }
}

}  // namespace longhaul::model
