#include "kernels/core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "kernels/core/error.h"
#include "kernels/core/file_descriptor.h"

namespace longhaul::core {

MappedFile::MappedFile(const std::filesystem::path& path) {
  const auto refuse = [&](const char* what) {
    throw InputError(message(path.string(), ": cannot be read: ", what));
  };
  // Non-blocking, or opening a pipe would wait for its writer.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) refuse(std::strerror(errno));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) refuse(std::strerror(errno));
  if (S_ISDIR(status.st_mode)) refuse("it is a folder, expected a file");
  if (!S_ISREG(status.st_mode)) refuse("it is not a regular file");
  size_ = static_cast<uint64_t>(status.st_size);
  if (size_ == 0) return;  // an empty mapping is an error to mmap
  void* mapping = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (mapping == MAP_FAILED && errno == ENOMEM) throw std::bad_alloc();  // not the file's fault
  if (mapping == MAP_FAILED) refuse(std::strerror(errno));
  data_ = mapping;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::release(uint64_t begin, uint64_t end) const {
  if (end <= begin) return;
  // A touched page brings its neighbours along; they go too, and come back when touched.
  constexpr uint64_t kAround = uint64_t{1} << 17;  // a multiple of any page size
  const uint64_t first = (begin - std::min(begin, kAround)) / kAround * kAround;
  const uint64_t last = size_ - end > kAround ? end + kAround : size_;
  ::madvise(static_cast<char*>(data_) + first, last - first, MADV_DONTNEED);
}

}  // namespace longhaul::core
