// The files of the repository, as the structure tests see them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace longhaul::testing {

struct SourceFile {
  std::string path;  ///< from the root, with /
  std::vector<std::string> lines;

  std::string extension() const { return std::filesystem::path(path).extension().string(); }
  bool is_cpp() const;  ///< C++ or CUDA, headers included
  bool is_header() const;
};

/// Every file outside build outputs, runs and hidden folders (.ci excepted), sorted by path; lines
/// of text files only.
std::vector<SourceFile> source_tree();

}  // namespace longhaul::testing
