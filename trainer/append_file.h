#pragma once

#include <cstdio>
#include <filesystem>
#include <string_view>

#include "kernels/core/handle.h"

namespace longhaul::trainer {

/// A file that grows record by record, so that others can follow it. Failures throw core::Error
/// naming the path.
class AppendFile {
 public:
  /// Creates the file if there is none.
  explicit AppendFile(const std::filesystem::path& path);
  /// Whole or, if it fails, perhaps in part; visible to readers when this returns.
  void append(std::string_view bytes);
  /// Fsyncs.
  void sync();

 private:
  static void close(std::FILE* file) { std::fclose(file); }

  std::filesystem::path path_;
  core::UniqueHandle<std::FILE*, close> file_;
};

}  // namespace longhaul::trainer
