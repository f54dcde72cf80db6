#pragma once

#include <filesystem>
#include <string>

namespace longhaul::testing {

/// A new folder of this test's own, removed with everything in it.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Writes a file below, with the folders above it.
  std::filesystem::path write(const std::string& name, const std::string& text) const;

 private:
  std::filesystem::path path_;
};

std::string read_all(const std::filesystem::path& file);

}  // namespace longhaul::testing
