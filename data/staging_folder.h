// A folder that appears under its name whole or not at all.
#pragma once

#include <filesystem>
#include <functional>

#include "data/file_io.h"

namespace longhaul::data {

/// Files are made in the hidden folder ".NAME.partial-PID" beside NAME and renamed at the end. What
/// a killed run left behind is removed by the next one of the same name, which tells it from a
/// running one by the lock. Throws InputError if another run is writing the same name.
class StagingFolder {
 public:
  /// `may_replace(target)` is asked if something exists there, and throws InputError to refuse.
  StagingFolder(const std::filesystem::path& target,
                std::function<void(const std::filesystem::path&)> may_replace);
  ~StagingFolder();  ///< without publish(): removes the hidden folder
  StagingFolder(const StagingFolder&) = delete;
  StagingFolder& operator=(const StagingFolder&) = delete;

  const std::filesystem::path& target() const { return target_; }
  const std::filesystem::path& path() const { return staging_; }
  /// The files in it are durable already. Exchanges with what is at the target in one step where
  /// the file system can.
  void publish();

 private:
  void check_target() const;
  void remove_leftovers() const;

  std::filesystem::path target_, staging_;
  std::function<void(const std::filesystem::path&)> may_replace_;
  core::FileDescriptor lock_;  // held as long as this run writes
};

}  // namespace longhaul::data
