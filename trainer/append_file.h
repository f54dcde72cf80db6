#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "kernels/core/file_descriptor.h"

namespace longhaul::trainer {

/// A file that grows record by record, so that others can follow it. Failures throw core::Error
/// naming the path; what could not be written is kept, and written before whatever comes next.
class AppendFile {
 public:
  /// Creates the file if there is none.
  explicit AppendFile(const std::filesystem::path& path);
  /// Visible to readers when this returns.
  void append(std::string_view bytes);
  /// Writes what is left, and fsyncs.
  void sync();

 private:
  void write_kept();

  std::filesystem::path path_;
  core::FileDescriptor file_;
  std::string kept_;
};

}  // namespace longhaul::trainer
