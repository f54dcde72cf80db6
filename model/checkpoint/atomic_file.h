// Files that appear whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "kernels/core/file_descriptor.h"

namespace longhaul::model {

/// Where a file is written. What a process that was killed left of the same path, the next writer
/// removes, for which it lists the folder: not where many ranks write, into a folder that goes as a
/// whole where it is not completed.
enum class WrittenTo { kFolderOfUsers, kNewFolder };

/// Written beside `path` under a name of its own; commit() makes it `path`. Without commit()
/// nothing remains. Failures throw core::Error with the path and the reason.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path,
                      WrittenTo where = WrittenTo::kFolderOfUsers);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* bytes, size_t count);
  /// Bytes written so far.
  uint64_t size() const { return size_; }
  /// Replaces bytes that have been written.
  void overwrite(uint64_t begin, const void* bytes, size_t count);
  /// Fsyncs the file, renames it, fsyncs the directory.
  void commit();

 private:
  std::filesystem::path path_, partial_;
  core::FileDescriptor file_;
  uint64_t size_ = 0;
};

/// Writes bytes to a file beside `path`, fsyncs file and directory, renames: the old content or the
/// new, never a mixture.
void write_file_atomically(const std::filesystem::path& path, const std::string& bytes,
                           WrittenTo where = WrittenTo::kFolderOfUsers);

/// The same, of another file's bytes, piece by piece.
void copy_file_atomically(const std::filesystem::path& from, const std::filesystem::path& to);

/// Makes the folder that `path` is to lie in, where it is not there.
void make_folder_of(const std::filesystem::path& path);

/// Makes the names in `folder` durable. File systems that cannot are taken as they are.
void sync_folder(const std::filesystem::path& folder);

}  // namespace longhaul::model
