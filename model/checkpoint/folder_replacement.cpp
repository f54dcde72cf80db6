#include "model/checkpoint/folder_replacement.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels/core/error.h"
#include "model/checkpoint/atomic_file.h"

namespace longhaul::model {

namespace {

namespace fs = std::filesystem;

/// The folder meant, without links and trailing slashes: the link must not be replaced.
fs::path resolved(const fs::path& target) {
  fs::path path = fs::weakly_canonical(fs::absolute(target));
  if (!path.has_filename()) path = path.parent_path();
  if (!path.has_filename()) {
    throw core::InputError(core::message(target.string(), ": cannot be replaced"));
  }
  return path;
}

[[noreturn]] void fail(const fs::path& path, int code) {
  throw core::Error(core::message(path.string(), ": cannot be replaced: ", std::strerror(code)));
}

/// The entries to take over.
std::vector<fs::directory_entry> survey(
    const fs::path& target, const std::function<bool(const std::string&)>& is_replaced) {
  std::vector<fs::directory_entry> kept;
  if (!fs::exists(fs::symlink_status(target))) return kept;
  if (!fs::is_directory(target)) {
    throw core::InputError(core::message(target.string(), ": exists and is no folder"));
  }
  std::vector<std::string> problems;
  for (const auto& entry : fs::directory_iterator(target)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_symlink() && !entry.is_regular_file()) {
      problems.push_back(core::message(target.string(), ": holds ", name,
                                       ", which is no file: cannot be replaced"));
    } else if (name.starts_with("pytorch_model")) {
      problems.push_back(core::message(target.string(), ": holds ", name,
                                       ", other weights than those to be written"));
    } else if (!is_replaced(name)) {
      kept.push_back(entry);
    }
  }
  if (!problems.empty()) throw core::InputError(problems);
  return kept;
}

}  // namespace

FolderReplacement::FolderReplacement(const fs::path& target,
                                     const std::function<bool(const std::string&)>& is_replaced) try
    : target_(resolved(target)),
      partial_(target_.parent_path() /
               core::message(".", target_.filename().string(), ".longhaul-partial")),
      retired_(target_.parent_path() /
               core::message(".", target_.filename().string(), ".longhaul-retired")) {
  // Interrupted between the two renames of exchange(): the retired folder is the only whole one.
  if (fs::exists(retired_) && !fs::exists(target_)) fs::rename(retired_, target_);
  const auto kept = survey(target_, is_replaced);
  fs::remove_all(partial_);
  fs::remove_all(retired_);
  fs::create_directories(target_.parent_path());
  fs::create_directory(partial_);
  for (const auto& entry : kept) take_over(entry);
} catch (const fs::filesystem_error& error) {
  throw core::Error(core::message(target.string(), ": cannot be replaced: ", error.what()));
}

FolderReplacement::~FolderReplacement() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(partial_, ignored);
}

void FolderReplacement::take_over(const fs::directory_entry& entry) {
  const fs::path copy = partial_ / entry.path().filename();
  if (entry.is_symlink()) {
    fs::create_symlink(fs::read_symlink(entry.path()), copy);
    return;
  }
  std::error_code no_links;
  fs::create_hard_link(entry.path(), copy, no_links);
  if (!no_links) return;
  copy_file_atomically(entry.path(), copy);
}

void FolderReplacement::exchange() {
  if (!fs::exists(target_)) {
    if (::rename(partial_.c_str(), target_.c_str()) != 0) fail(target_, errno);
    return;
  }
  if (::renameat2(AT_FDCWD, partial_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) == 0) {
    return;
  }
  if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) fail(target_, errno);
  // File systems that cannot exchange: two renames; the constructor mends an interruption.
  if (::rename(target_.c_str(), retired_.c_str()) != 0) fail(target_, errno);
  if (::rename(partial_.c_str(), target_.c_str()) != 0) fail(target_, errno);
}

void FolderReplacement::commit() {
  sync_folder(partial_);
  exchange();
  committed_ = true;
  sync_folder(target_.parent_path());
  // The new folder stands; what cannot be removed of the old one is no failure of this.
  std::error_code ignored;
  fs::remove_all(partial_, ignored);
  fs::remove_all(retired_, ignored);
}

}  // namespace longhaul::model
