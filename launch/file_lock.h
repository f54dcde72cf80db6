// POSIX locks of open file descriptions on ranges of a file's bytes: they end with their process
// and work across the nodes of NFS and Lustre.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "kernels/core/file_descriptor.h"

namespace longhaul::launch {

enum class LockOutcome : uint8_t {
  kDone,
  kHeldByOther,
  kUnsupported  ///< the file system has no locks
};

/// Opens a lock's file for reading and writing; creates it if there is none and `create` is set.
/// core::Error naming it if it cannot be opened.
core::FileDescriptor open_lock_file(const std::filesystem::path& path, bool create);

/// Bytes [begin, begin + count) of a file; count 0: without end.
struct LockRange {
  int64_t begin = 0, count = 0;
};
/// Exclusive; does not wait. `path` is for messages.
LockOutcome take_lock(const core::FileDescriptor& file, LockRange range,
                      const std::filesystem::path& path);
void release_lock(const core::FileDescriptor& file, LockRange range,
                  const std::filesystem::path& path);

/// Writes who holds the lock into its file: "WHAT of process P on HOST".
void sign_lock(const core::FileDescriptor& file, const std::string& what,
               const std::filesystem::path& path);
/// What the holder wrote, printable characters only; "a job" if nothing.
std::string lock_holder(const core::FileDescriptor& file);

/// Whether some process holds a byte of the range of the lock at `path`; takes nothing. Nothing
/// where that cannot be known (no locks on this file system, no permission to read).
std::optional<bool> is_locked(const std::filesystem::path& path, LockRange range = {});

}  // namespace longhaul::launch
