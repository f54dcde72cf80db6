#include "data/staging_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "kernels/core/error.h"

namespace longhaul::data {

namespace {
namespace fs = std::filesystem;
constexpr const char* kLock = "lock";

fs::path resolve(const fs::path& folder) {
  fs::path path = folder.empty() ? folder : fs::absolute(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "folder/"
  if (!path.has_filename())
    throw core::InputError(core::message("output folder: is \"", folder.string(),
                                         "\", expected the name of a folder"));
  return path;
}

/// Whether a process has the lock. A file system without locks counts as "yes": nothing that might
/// be in use is deleted.
bool is_locked(const fs::path& staging) {
  const core::FileDescriptor lock(::open((staging / kLock).c_str(), O_RDWR | O_CLOEXEC));
  if (!lock) return errno != ENOENT && errno != ENOTDIR;
  return ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0;
}

/// ".NAME.SUFFIX" beside `target`.
fs::path hidden(const fs::path& target, std::string_view suffix) {
  return target.parent_path() / core::message(".", target.filename().string(), ".", suffix);
}

[[noreturn]] void fail(const fs::path& path, const char* doing) {
  throw core::Error(core::message(path.string(), ": cannot ", doing, ": ", std::strerror(errno)));
}
}  // namespace

StagingFolder::StagingFolder(const fs::path& target,
                             std::function<void(const fs::path&)> may_replace)
    : target_(resolve(target)), may_replace_(std::move(may_replace)) {
  check_target();
  std::error_code error;
  fs::create_directories(target_.parent_path(), error);
  if (error)
    throw core::InputError(
        core::message(target_.parent_path().string(), ": cannot be created: ", error.message()));
  remove_leftovers();
  const fs::path staging = hidden(target_, core::message("partial-", ::getpid()));
  if (!fs::create_directory(staging, error))
    throw core::InputError(core::message(
        staging.string(), ": cannot be created: ", error ? error.message() : "it exists"));
  staging_ = staging;
  lock_ =
      core::FileDescriptor(::open((staging_ / kLock).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (lock_) ::flock(lock_.get(), LOCK_EX | LOCK_NB);
}

StagingFolder::~StagingFolder() {
  std::error_code ignored;
  if (!staging_.empty()) fs::remove_all(staging_, ignored);
}

void StagingFolder::check_target() const {
  std::error_code error;
  const auto status = fs::symlink_status(target_, error);
  if (status.type() == fs::file_type::not_found) return;
  if (!fs::status_known(status))
    throw core::InputError(core::message(target_.string(), ": ", error.message()));
  if (fs::is_symlink(status))
    throw core::InputError(core::message(
        target_.string(), ": is a symbolic link, expected nothing or a folder to replace"));
  may_replace_(target_);
}

void StagingFolder::remove_leftovers() const {
  const std::string prefix = hidden(target_, "partial-").filename().string();
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(target_.parent_path(), error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix) || name.size() == prefix.size() ||
        name.find_first_not_of("0123456789", prefix.size()) != std::string::npos)
      continue;
    if (is_locked(entry.path()))
      throw core::InputError(core::message(target_.string(), ": another run is writing it (",
                                           entry.path().string(), "; remove that if no run is)"));
    fs::remove_all(entry.path(), error);
  }
}

void StagingFolder::publish() {
  std::error_code ignored;
  fs::remove(staging_ / kLock, ignored);
  sync_folder(staging_);
  check_target();
  const char* from = staging_.c_str();
  const char* to = target_.c_str();
  if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) == 0) {
    fs::remove_all(staging_, ignored);  // holds what was replaced
  } else if (errno == ENOENT) {
    if (::rename(from, to) != 0) fail(target_, "rename into place");
  } else {
    // No exchange on this file system: for a moment nothing is at the target, and the old folder
    // is under its hidden name, from where a killed run's user can take it back.
    const fs::path old = hidden(target_, core::message("old-", ::getpid()));
    if (::rename(to, old.c_str()) != 0) fail(target_, "rename aside");
    if (::rename(from, to) != 0) {
      const int why = errno;
      ::rename(old.c_str(), to);
      errno = why;
      fail(target_, "rename into place");
    }
    fs::remove_all(old, ignored);
  }
  staging_.clear();
  sync_folder(target_.parent_path());
}

}  // namespace longhaul::data
