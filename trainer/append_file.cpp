#include "trainer/append_file.h"

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
    : path_(path), file_(std::fopen(path.c_str(), "abe")) {
  if (!file_) fail(path_, "cannot be opened for writing");
}

void AppendFile::append(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size() ||
      std::fflush(file_.get()) != 0) {
    fail(path_, "cannot be written");
  }
}

void AppendFile::sync() {
  if (::fsync(::fileno(file_.get())) != 0) fail(path_, "cannot be written to disk");
}

}  // namespace longhaul::trainer
