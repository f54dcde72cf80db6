#include "trainer/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernels/core/error.h"

namespace longhaul::trainer {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const char* what) {
  throw core::Error(core::message(path.string(), ": ", what, ": ", std::strerror(errno)));
}

}  // namespace

AppendFile::AppendFile(const std::filesystem::path& path)
    : path_(path), file_(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)) {
  if (!file_) fail(path_, "cannot be opened for writing");
}

void AppendFile::append(std::string_view bytes) {
  kept_ += bytes;
  write_kept();
}

void AppendFile::sync() {
  write_kept();
  if (::fsync(file_.get()) != 0) fail(path_, "cannot be written to disk");
}

void AppendFile::write_kept() {
  while (!kept_.empty()) {
    const ssize_t written = ::write(file_.get(), kept_.data(), kept_.size());
    if (written < 0 && errno != EINTR) fail(path_, "cannot be written");
    if (written > 0) kept_.erase(0, static_cast<size_t>(written));
  }
}

}  // namespace longhaul::trainer
