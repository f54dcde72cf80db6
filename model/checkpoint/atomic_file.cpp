#include "model/checkpoint/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "kernels/core/error.h"
#include "kernels/core/random_access_file.h"

namespace longhaul::model {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const char* what, int code) {
  throw core::Error(core::message(path.string(), ": ", what, ": ", std::strerror(code)));
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

// .NAME.PROCESS-ATTEMPT.partial
constexpr std::string_view kPartial = ".partial";
std::string partial_stem(const std::filesystem::path& path) {
  return core::message(".", path.filename().string(), ".");
}

/// The process that writes, or wrote, partial file `name` of `stem`; none where it is no such name.
std::optional<pid_t> writer_of(std::string_view name, std::string_view stem) {
  if (!name.starts_with(stem) || !name.ends_with(kPartial)) return std::nullopt;
  if (name.size() < stem.size() + kPartial.size()) return std::nullopt;
  name = name.substr(stem.size(), name.size() - stem.size() - kPartial.size());
  pid_t process = 0;
  int attempt = 0;
  const char* end = name.data() + name.size();
  const auto [dash, bad] = std::from_chars(name.data(), end, process);
  if (bad != std::errc() || dash == end || *dash != '-' || process <= 0) return std::nullopt;
  const auto [rest, wrong] = std::from_chars(dash + 1, end, attempt);
  return wrong == std::errc() && rest == end ? std::optional(process) : std::nullopt;
}

/// Both say so: a process of another host, or of another container, has a number that means nothing
/// here, but holds its lock; one that has just made its file has no lock yet.
bool is_abandoned(const std::filesystem::path& file, pid_t process) {
  if (::kill(process, 0) == 0 || errno != ESRCH) return false;
  const core::FileDescriptor descriptor(::open(file.c_str(), O_RDWR | O_CLOEXEC));
  return descriptor && ::flock(descriptor.get(), LOCK_EX | LOCK_NB) == 0;
}

void remove_leftovers(const std::filesystem::path& path) {
  std::error_code error;
  const std::string stem = partial_stem(path);
  std::vector<std::filesystem::path> abandoned;
  for (std::filesystem::directory_iterator entry(folder_of(path), error), end;
       !error && entry != end; entry.increment(error)) {
    const auto process = writer_of(entry->path().filename().native(), stem);
    if (process && is_abandoned(entry->path(), *process)) abandoned.push_back(entry->path());
  }
  for (const auto& file : abandoned) std::filesystem::remove(file, error);
}

}  // namespace

AtomicFile::AtomicFile(const std::filesystem::path& path, WrittenTo where) : path_(path) {
  if (where == WrittenTo::kFolderOfUsers) remove_leftovers(path);
  // Exclusive creation: two writers of one path never share a partial file.
  for (int attempt = 0; !file_; ++attempt) {
    partial_ =
        folder_of(path) / core::message(partial_stem(path), ::getpid(), "-", attempt, kPartial);
    file_ = core::FileDescriptor(
        ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!file_ && errno != EEXIST && errno != EINTR) fail(path_, "cannot be created", errno);
  }
  ::flock(file_.get(), LOCK_EX | LOCK_NB);  // says until the process ends that it writes
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

void write_file_atomically(const std::filesystem::path& path, const std::string& bytes,
                           WrittenTo where) {
  AtomicFile file(path, where);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

void copy_file_atomically(const std::filesystem::path& from, const std::filesystem::path& to) {
  const core::RandomAccessFile source(from);
  AtomicFile file(to);
  source.for_each_piece([&](std::string_view piece) { file.write(piece.data(), piece.size()); });
  file.commit();
}

void make_folder_of(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(folder_of(path), error);
  if (error) throw core::Error(core::message(folder_of(path).string(), ": ", error.message()));
}

void sync_folder(const std::filesystem::path& folder) {
  const core::FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor) fail(folder, "cannot be opened", errno);
  if (::fsync(descriptor.get()) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EROFS) {
    fail(folder, "cannot be written to disk", errno);
  }
}

}  // namespace longhaul::model
